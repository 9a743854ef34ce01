#pragma once
// Elements in memory are float32 or bfloat16, computed with in float32, and moved 16 bytes at a time where rows allow.
#include <type_traits>

#include "kernels/cuda/device_code.cuh"

namespace pyracast::cuda {

/// x as it is kept in memory: to nearest even.
template <class T>
__device__ T rounded(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else {
#ifdef __CUDA_ARCH__
    bfloat16 narrow;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(x));
    return narrow;
#else
    return bfloat16(x);
#endif
  }
}

/// Elements that lie behind one another and are moved at once.
template <class T, int n>
struct alignas(n * sizeof(T) < 16 ? n * sizeof(T) : 16) Pack {
  T of[n];
};
template <class T>
inline constexpr int pack_elements = 16 / int(sizeof(T));

/// The pack that begins at p, whose address is a multiple of the pack's.
template <int n, class T>
__device__ Pack<T, n> load(const T* p) {
  return *reinterpret_cast<const Pack<T, n>*>(p);
}
template <int n, class T>
__device__ void store(T* p, const Pack<T, n>& pack) {
  *reinterpret_cast<Pack<T, n>*>(p) = pack;
}

template <class T>
T* elements(const View& x) {
  return static_cast<T*>(x.data);
}

/// f(type): a float or a bfloat16, which stands for the type of elements.
template <class F>
void with_type(DType type, F f) {
  if (type == DType::bfloat16) f(bfloat16());
  else f(float());
}

/// Whether packs begin at each multiple of `step` elements: rows of that many, all of these tensors from their beginning on.
template <class... Views>
bool in_packs(int64_t step, int elements, const Views&... x) {
  return step % elements == 0 && ((reinterpret_cast<uintptr_t>(x.data) % 16 == 0) && ...);
}

/// What a functor of map() has for all elements of a pack alike, where that is nothing.
struct Nothing {
  template <int n>
  __device__ Nothing of_pack(int64_t) const {
    return {};
  }
};

template <int n, class T, class F, class... In>
__global__ void map_kernel(int64_t packs, T* out, F f, const In*... in) {
  const int64_t i = global_index() * n;
  if (i >= packs * n) return;
  const auto common = f.template of_pack<n>(i);
  const auto compute = [&](const auto&... x) {
    Pack<T, n> result;
#pragma unroll
    for (int k = 0; k < n; ++k) result.of[k] = rounded<T>(f(common, k, float(x.of[k])...));
    store(out + i, result);
  };
  compute(load<n>(in + i)...);
}

/// out[i] = f(f.of_pack(beginning of i's pack), i's place in it, in[i]...); no pack goes beyond a multiple of `step` elements.
template <class F, class... In>
void map(cudaStream_t stream, const char* what, View out, int64_t step, F f, const In&... in) {
  constexpr int threads = 256;
  with_type(out.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int n = pack_elements<T>;
    const auto run = [&](auto kernel, int64_t packs) {
      launch(stream, what, pieces_of(packs, threads), threads, 0, kernel, packs, elements<T>(out), f, static_cast<const T*>(elements<T>(in))...);
    };
    if (in_packs(step, n, out, in...)) run(map_kernel<n, T, F, std::conditional_t<true, T, In>...>, out.size() / n);
    else run(map_kernel<1, T, F, std::conditional_t<true, T, In>...>, out.size());
  });
}

struct Same : Nothing {
  __device__ float operator()(Nothing, int, float x) const { return x; }
};

/// out = x, each float32 or bfloat16.
inline void convert(cudaStream_t stream, View x, View out) {
  constexpr int threads = 256, n = pack_elements<bfloat16>;
  with_type(out.dtype, [&](auto to) {
    with_type(x.dtype, [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      const auto run = [&](auto kernel, int64_t packs) {
        launch(stream, "a conversion", pieces_of(packs, threads), threads, 0, kernel, packs, elements<To>(out), Same(),
               static_cast<const From*>(elements<From>(x)));
      };
      if (in_packs(x.size(), n, x, out)) run(map_kernel<n, To, Same, From>, x.size() / n);
      else run(map_kernel<1, To, Same, From>, x.size());
    });
  });
}

/// Where the factors of element i of x [groups, rows, channels] lie: at its group and channel.
struct PerGroup {
  int64_t group_elements, channels;
  explicit PerGroup(const View& x) : group_elements(x.shape[1] * x.shape[2]), channels(x.shape[2]) {}
  __device__ int64_t operator()(int64_t i) const { return i / group_elements * channels + i % channels; }
};

}  // namespace pyracast::cuda
