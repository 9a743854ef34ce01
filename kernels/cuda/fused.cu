// Several operations in one pass over memory; the results are those of the operations one after the other.
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/device_code.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;
constexpr int warps = threads / warp_size;

/// The piece of work of this warp.
__device__ int64_t warp_index() { return int64_t(blockIdx.x) * warps + threadIdx.x / warp_size; }

// A warp a row of x [groups, rows, channels], as in norms.cu.
__global__ void modulated_norm_kernel(int64_t all_rows, int64_t rows, int64_t n, const float* x, float epsilon,
                                      const float* shift, const float* scale, float* out) {
  const int64_t r = warp_index();
  if (r >= all_rows) return;   // a whole warp leaves together
  const int lane = threadIdx.x % warp_size;
  const float* row = x + r * n;
  const int64_t factors = r / rows * n;
  float sum = 0, square = 0;
  for (int64_t i = lane; i < n; i += warp_size) sum += row[i];
  const float mean = warp_sum(sum) / float(n);
  for (int64_t i = lane; i < n; i += warp_size) square += (row[i] - mean) * (row[i] - mean);
  const float normal = 1 / sqrtf(warp_sum(square) / float(n) + epsilon);
  for (int64_t i = lane; i < n; i += warp_size)
    out[r * n + i] = (row[i] - mean) * normal * (1 + scale[factors + i]) + shift[factors + i];
}

__global__ void add_gated_kernel(int64_t n, int64_t group_elements, int64_t channels, const float* x, const float* branch,
                                 const float* gate, float* out) {
  const int64_t i = global_index();
  if (i < n) out[i] = x[i] + branch[i] * gate[i / group_elements * channels + i % channels];
}

/// Queries and keys are normalised and rotated where there is something to do it with.
struct HeadsCall {
  const float* qkv;   // [batch, tokens, 3, heads, size]
  float* out[3];      // queries, keys, values, each [batch, tokens, heads, size]
  const float* norms[2];
  float epsilon;
  const float *cosines, *sines;   // [tokens, size / 2]
  int64_t tokens, heads, size, pieces;
};

// A warp a head of a token's query, key or value.
__global__ void heads_kernel(HeadsCall call) {
  const int64_t piece = warp_index();
  if (piece >= call.pieces) return;
  const int lane = threadIdx.x % warp_size;
  const int64_t part = piece / call.heads % 3, row = piece / (3 * call.heads), size = call.size;
  const float* from = call.qkv + piece * size;
  float* to = call.out[part] + (row * call.heads + piece % call.heads) * size;
  const float* weight = part < 2 ? call.norms[part] : nullptr;
  float scale = 1;
  if (weight) {
    float square = 0;
    for (int64_t i = lane; i < size; i += warp_size) square += from[i] * from[i];
    scale = 1 / sqrtf(warp_sum(square) / float(size) + call.epsilon);
  }
  const auto normal = [&](int64_t i) { return weight ? from[i] * scale * weight[i] : from[i]; };
  if (part < 2 && call.cosines) {
    const int64_t angles = row % call.tokens * (size / 2);
    for (int64_t pair = lane; pair < size / 2; pair += warp_size) {
      const float cosine = call.cosines[angles + pair], sine = call.sines[angles + pair];
      const float first = normal(2 * pair), second = normal(2 * pair + 1);
      to[2 * pair] = first * cosine - second * sine;
      to[2 * pair + 1] = second * cosine + first * sine;
    }
  } else {
    for (int64_t i = lane; i < size; i += warp_size) to[i] = normal(i);
  }
}

}  // namespace
}  // namespace cuda

void CudaBackend::modulated_norm(View x, float epsilon, View shift, View scale, View out) {
  const int64_t rows = x.shape[0] * x.shape[1];
  cuda::launch(stream(), "modulated_norm", pieces_of(rows, cuda::warps), cuda::threads, 0, cuda::modulated_norm_kernel, rows,
               x.shape[1], x.shape[2], cuda::floats(x), epsilon, cuda::floats(shift), cuda::floats(scale), cuda::floats(out));
}

void CudaBackend::add_gated(View x, View branch, View gate, View out) {
  cuda::launch(stream(), "add_gated", pieces_of(x.size(), cuda::threads), cuda::threads, 0, cuda::add_gated_kernel, x.size(),
               x.shape[1] * x.shape[2], x.shape[2], cuda::floats(x), cuda::floats(branch), cuda::floats(gate), cuda::floats(out));
}

void CudaBackend::packed_attention(View qkv, const PackedAttention& with, View out) {
  const auto floats_of = [](const std::optional<View>& x) { return x ? cuda::floats(*x) : nullptr; };
  const size_t bytes = size_t(out.size()) * sizeof(float);
  const std::shared_ptr<void> memory[3] = {allocate(bytes), allocate(bytes), allocate(bytes)};
  cuda::HeadsCall call{};
  call.qkv = cuda::floats(qkv);
  View parts[3];
  for (int part = 0; part < 3; ++part) {
    parts[part] = {memory[part].get(), DType::float32, out.shape};
    call.out[part] = cuda::floats(parts[part]);
  }
  call.norms[0] = floats_of(with.q_norm);
  call.norms[1] = floats_of(with.k_norm);
  call.epsilon = with.epsilon;
  call.cosines = floats_of(with.cosines);
  call.sines = floats_of(with.sines);
  call.tokens = qkv.shape[1];
  call.heads = qkv.shape[3];
  call.size = qkv.shape[4];
  call.pieces = qkv.shape[0] * qkv.shape[1] * 3 * qkv.shape[3];
  cuda::launch(stream(), "packed_attention", pieces_of(call.pieces, cuda::warps), cuda::threads, 0, cuda::heads_kernel, call);
  attention(parts[0], parts[1], parts[2], with.scale, nullptr, {}, out);
}

}  // namespace pyracast
