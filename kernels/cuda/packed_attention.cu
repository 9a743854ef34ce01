// Queries and keys that lie packed in one tensor are normalised and rotated in one pass, before they attend.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;
constexpr int lanes = 16;   // that share a head: one with 128 bfloat16 channels has 16 packs

template <class T>
struct HeadsCall {
  const T* qkv;   // [batch, tokens, beside, 3, heads, size]
  T* out[2];      // queries, keys, each [batch, tokens, beside, heads, size]
  const float* norms[2];
  float epsilon;
  const float *cosines, *sines;   // [tokens, size / 2]
  int64_t tokens, beside, heads, size, pieces;
};

/// The sum over the lanes of a head, on each of them. All lanes of the warp call it.
__device__ float head_sum(float x) {
  for (int step = lanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

// n elements at once; pairs that are rotated lie in the same pack.
template <int n, class T>
__global__ void heads_kernel(HeadsCall<T> call) {
  const int64_t piece = global_index() / lanes, size = call.size;
  const bool exists = piece < call.pieces;   // else its lanes only join in the sums of the warp's other head
  const int64_t part = piece / call.heads % 2, row = piece / (2 * call.heads), head = piece % call.heads;
  const T* const from = call.qkv + ((row * 3 + part) * call.heads + head) * size;
  T* const to = part == 0 ? call.out[0] : call.out[1];
  const int64_t out = (row * call.heads + head) * size, first = int64_t(threadIdx.x % lanes) * n, step = lanes * n;
  const float* const weight = part == 0 ? call.norms[0] : call.norms[1];
  float even = 0, odd = 0;   // as the two lanes 16 apart have them that share these packs in rms_norm: the same bits
  const auto add_pack = [&](int64_t i, float& sum) {
    if (i >= size) return;
    const auto pack = load<n>(from + i);
#pragma unroll
    for (int k = 0; k < n; ++k) sum += float(pack.of[k]) * float(pack.of[k]);
  };
  if (exists && weight)
    for (int64_t i = first; i < size; i += 2 * step) {
      add_pack(i, even);
      add_pack(i + step, odd);
    }
  const float square = head_sum(even + odd);
  if (!exists) return;
  const float scale = 1 / sqrtf(square / float(size) + call.epsilon);
  for (int64_t i = first; i < size; i += step) {
    const auto pack = load<n>(from + i);
    float values[n];
#pragma unroll
    for (int k = 0; k < n; ++k) values[k] = float(pack.of[k]);
    if (weight) {
      const auto by = load<n>(weight + i);
#pragma unroll
      for (int k = 0; k < n; ++k) values[k] = values[k] * scale * by.of[k];
    }
    if constexpr (n > 1)
      if (call.cosines) {
        const int64_t angles = (row / call.beside % call.tokens * size + i) / 2;
        const auto cosines = load<n / 2>(call.cosines + angles), sines = load<n / 2>(call.sines + angles);
#pragma unroll
        for (int k = 0; k < n; k += 2) {
          const float cosine = cosines.of[k / 2], sine = sines.of[k / 2], one = values[k], other = values[k + 1];
          values[k] = one * cosine - other * sine;
          values[k + 1] = other * cosine + one * sine;
        }
      }
    Pack<T, n> result;
#pragma unroll
    for (int k = 0; k < n; ++k) result.of[k] = rounded<T>(values[k]);
    store(to + out + i, result);
  }
}

}  // namespace
}  // namespace cuda

// Values lie where they are, and so do queries and keys of which nothing is wanted before they attend.
void CudaBackend::packed_attention(View qkv, const PackedAttention& with, View out) {
  if (out.size() == 0) return;
  const int64_t batch = qkv.shape[0], tokens = qkv.shape[1], beside = qkv.shape[2], heads = qkv.shape[4], size = qkv.shape[5], width = heads * size;
  if (qkv.dtype == DType::bfloat16 && !cuda::attention_on_tensor_cores(size, with.scale)) {
    const Owned wide = as(DType::float32, qkv), result = floats_like(out);
    packed_attention(wide.view, with, result.view);
    return convert(result.view, out);
  }
  const auto floats_of = [](const std::optional<View>& x) { return x ? cuda::floats(*x) : nullptr; };
  cuda::with_type(qkv.dtype, [&](auto type) {
    using T = decltype(type);
    const T* const packed = cuda::elements<const T>(qkv);
    cuda::AttentionOf<T> call{packed, packed + width, packed + 2 * width, cuda::elements<T>(out), tokens, heads, size, with.scale,
                              nullptr, 0, 0, 0, 3 * width, 3 * width, 3 * width};
    std::shared_ptr<void> turned[2];
    if (with.q_norm || with.cosines) {
      for (auto& part : turned) part = allocate(size_t(out.size()) * sizeof(T));
      const cuda::HeadsCall<T> of_heads{packed,
                                        {static_cast<T*>(turned[0].get()), static_cast<T*>(turned[1].get())},
                                        {floats_of(with.q_norm), floats_of(with.k_norm)},
                                        with.epsilon,
                                        floats_of(with.cosines),
                                        floats_of(with.sines),
                                        tokens,
                                        beside,
                                        heads,
                                        size,
                                        batch * tokens * beside * 2 * heads};
      constexpr int n = cuda::pack_elements<T>;
      require(!with.cosines || cuda::in_packs(size, 2, qkv), "CUDA: packed attention turns pairs, but a head has ", size,
              " elements, or the memory begins between two");
      const auto kernel = cuda::in_packs(size, n, qkv)   ? cuda::heads_kernel<n, T>
                          : cuda::in_packs(size, 2, qkv) ? cuda::heads_kernel<2, T>
                                                         : cuda::heads_kernel<1, T>;
      cuda::launch(stream(), "packed_attention", pieces_of(of_heads.pieces, cuda::threads / cuda::lanes), cuda::threads, 0, kernel, of_heads);
      call.q = of_heads.out[0];
      call.k = of_heads.out[1];
      call.q_row = call.k_row = width;
    }
    cuda::attend(stream(), call, batch * beside, {.each = tokens, .beside = beside}, library_attention_.get());
  });
}

}  // namespace pyracast
