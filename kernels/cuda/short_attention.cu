// Attention over few keys, as along time: a block keeps the keys and values of one entry's head in shared memory, and a
// warp takes a query. Lane l scores keys l and l + 32; then the lanes share out the columns of the result.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/device_code.cuh"

namespace pyracast::cuda {
namespace {

constexpr int warps = 8;
constexpr int queries_of_block = 64;

/// Floats from one row to the next in shared memory: odd, so that rows begin in different banks.
constexpr int row_stride(int size) { return size | 1; }

constexpr size_t shared_bytes(int size) {
  return size_t(2 * int(short_keys) * row_stride(size) + warps * (size + int(short_keys))) * sizeof(float);
}

__global__ void __launch_bounds__(warps * warp_size) short_attention_kernel(AttentionCall call, AttentionEntries entries) {
  const AttentionPart part = AttentionPart::of(blockIdx.x, call, entries, queries_of_block);
  const int size = int(call.size), stride = row_stride(size), keys = int(part.entry.keys);
  const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
  float* const k = shared_floats();                              // [short_keys][stride]
  float* const v = k + short_keys * stride;                      // [short_keys][stride]
  float* const query = v + short_keys * stride + warp * (size + short_keys);   // [size], of this warp
  float* const weights = query + size;                           // [short_keys], of this warp

  for (int i = threadIdx.x; i < keys * size; i += blockDim.x) {
    k[i / size * stride + i % size] = call.k[part.key(call, i / size) + i % size];
    v[i / size * stride + i % size] = call.v[part.value(call, i / size) + i % size];
  }
  __syncthreads();

  const int64_t last = part.first_query + queries_of_block < call.queries ? part.first_query + queries_of_block : call.queries;
  for (int64_t row = part.first_query + warp; row < last; row += warps) {
    for (int d = lane; d < size; d += warp_size) query[d] = call.q[part.query(call, row) + d];
    __syncwarp();
    float scores[2];
    for (int i = 0; i < 2; ++i) {
      const int key = lane + i * warp_size;
      float sum = 0;
      if (key < keys)
        for (int d = 0; d < size; ++d) sum = fmaf(query[d], k[key * stride + d], sum);
      sum *= call.scale;
      if (call.bias && key < keys) sum += call.bias[part.bias(call, row) + key];
      scores[i] = key < keys ? sum : -INFINITY;
    }
    const float largest = warp_max(fmaxf(scores[0], scores[1]));
    float total = 0;
    for (int i = 0; i < 2; ++i) {
      const float weight = lane + i * warp_size < keys ? expf(scores[i] - largest) : 0.f;
      weights[lane + i * warp_size] = weight;
      total += weight;
    }
    total = warp_sum(total);
    __syncwarp();
    for (int d = lane; d < size; d += warp_size) {
      float sum = 0;
      for (int key = 0; key < keys; ++key) sum = fmaf(weights[key], v[key * stride + d], sum);
      call.out[part.out(call, row) + d] = sum / total;
    }
    __syncwarp();   // the next query overwrites what lanes still read
  }
}

}  // namespace

void short_attention(cudaStream_t stream, const AttentionCall& call, const AttentionEntries& entries) {
  launch(stream, "attention", entries.count * call.heads * pieces_of(call.queries, queries_of_block), warps * warp_size,
         shared_bytes(int(call.size)), short_attention_kernel, call, entries);
}

}  // namespace pyracast::cuda
