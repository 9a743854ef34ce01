// Queries and keys that lie packed in one tensor are normalised and rotated in one pass, before they attend.
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;
constexpr int lanes = 16;   // that share a head: one with 128 bfloat16 channels has 16 packs

template <class T>
struct HeadsCall {
  const T* qkv;   // [batch, tokens, 3, heads, size]
  T* out[3];      // queries, keys, values, each [batch, tokens, heads, size]
  const float* norms[2];
  float epsilon;
  const float *cosines, *sines;   // [tokens, size / 2]
  int64_t tokens, heads, size, pieces;
  int parts;                      // 2: values stay where they are
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
  const int64_t part = piece / call.heads % call.parts, row = piece / (call.parts * call.heads), head = piece % call.heads;
  const T* const from = call.qkv + ((row * 3 + part) * call.heads + head) * size;
  T* const to = part == 0 ? call.out[0] : part == 1 ? call.out[1] : call.out[2];
  const int64_t out = (row * call.heads + head) * size, first = int64_t(threadIdx.x % lanes) * n, step = lanes * n;
  const float* const weight = part == 0 ? call.norms[0] : part == 1 ? call.norms[1] : nullptr;
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
      if (part < 2 && call.cosines) {
        const int64_t angles = (row % call.tokens * size + i) / 2;
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

void CudaBackend::packed_attention(View qkv, const PackedAttention& with, View out) {
  const auto floats_of = [](const std::optional<View>& x) { return x ? cuda::floats(*x) : nullptr; };
  const size_t bytes = size_t(out.size()) * size_of(out.dtype);
  const std::shared_ptr<void> memory[3] = {allocate(bytes), allocate(bytes), allocate(bytes)};
  cuda::with_type(qkv.dtype, [&](auto type) {
    using T = decltype(type);
    cuda::HeadsCall<T> call{};
    call.qkv = cuda::elements<const T>(qkv);
    call.parts = 3;
    for (int part = 0; part < call.parts; ++part) call.out[part] = static_cast<T*>(memory[part].get());
    call.norms[0] = floats_of(with.q_norm);
    call.norms[1] = floats_of(with.k_norm);
    call.epsilon = with.epsilon;
    call.cosines = floats_of(with.cosines);
    call.sines = floats_of(with.sines);
    call.tokens = qkv.shape[1];
    call.heads = qkv.shape[3];
    call.size = qkv.shape[4];
    call.pieces = qkv.shape[0] * qkv.shape[1] * call.parts * qkv.shape[3];
    constexpr int n = cuda::pack_elements<T>;
    const auto kernel = cuda::in_packs(call.size, n, qkv)   ? cuda::heads_kernel<n, T>
                        : cuda::in_packs(call.size, 2, qkv) ? cuda::heads_kernel<2, T>
                                                            : cuda::heads_kernel<1, T>;
    cuda::launch(stream(), "packed_attention", pieces_of(call.pieces, cuda::threads / cuda::lanes), cuda::threads, 0, kernel, call);
  });
  const auto part = [&](int i) { return View{memory[i].get(), out.dtype, out.shape}; };
  attention(part(0), part(1), part(2), with.scale, nullptr, {}, out);
}

}  // namespace pyracast
