// Which kernel serves an entry depends on the number of its keys and the size of a head, so that its bits do not depend
// on its neighbours.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cuda_backend.hpp"

namespace pyracast {

namespace cuda {
namespace {

void attend(cudaStream_t stream, const AttentionCall& call, const AttentionEntries& entries, bool is_short) {
  if (is_short) short_attention(stream, call, entries);
  else long_attention(stream, call, entries);
}

bool is_short(const AttentionCall& call, int64_t keys) { return keys <= short_keys && call.size <= short_size; }

}  // namespace
}  // namespace cuda

void CudaBackend::attention(View q, View k, View v, float scale, const AttentionBias* bias,
                            std::span<const KeyRange> keys_of, View out) {
  using namespace cuda;
  const int64_t batch = q.shape[0];
  if (q.size() == 0) return;
  const int64_t row = q.shape[2] * q.shape[3];
  AttentionCall call{floats(q), floats(k), floats(v), floats(out), q.shape[1], q.shape[2], q.shape[3], scale,
                     nullptr, 0, 0, 0, row, row, row};
  if (bias) {
    call.bias = floats(bias->values);
    call.bias_batch = bias->batch_stride;
    call.bias_head = bias->head_stride;
    call.bias_query = bias->query_stride;
  }
  if (keys_of.empty()) {
    AttentionEntries all{};
    all.keys_each = k.shape[1];
    all.count = batch;
    return attend(stream(), call, all, is_short(call, k.shape[1]));
  }
  for (const bool wanted : {true, false}) {
    AttentionEntries some{};
    for (int64_t b = 0; b < batch; ++b) {
      const KeyRange range = keys_of[size_t(b)];
      if (is_short(call, range.end - range.begin) == wanted) some.listed[some.count++] = {b, range.begin, range.end - range.begin};
      if (some.count == AttentionEntries::most_listed || (b == batch - 1 && some.count > 0)) {
        attend(stream(), call, some, wanted);
        some.count = 0;
      }
    }
  }
}

}  // namespace pyracast
