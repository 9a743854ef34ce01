// Which kernel serves an entry depends on the number of its keys and the size of a head, so that its bits do not depend
// on its neighbours.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"

namespace pyracast {

namespace cuda {
namespace {

/// `attend` of those entries of a batch whose number of keys it serves.
template <class Serves, class Attend>
void for_entries(int64_t batch, const KeysOfEntries& keys, Serves serves, Attend attend) {
  AttentionEntries some{};
  some.beside = keys.beside;
  if (keys.listed.empty()) {
    some.keys_each = keys.each;
    some.count = batch;
    if (serves(keys.each)) attend(some);
    return;
  }
  for (int64_t b = 0; b < batch; ++b) {
    const KeyRange range = keys.listed[size_t(b)];
    if (serves(range.end - range.begin)) some.listed[some.count++] = {b, range.begin, range.end - range.begin};
    if (some.count == AttentionEntries::most_listed || (b == batch - 1 && some.count > 0)) {
      attend(some);
      some.count = 0;
    }
  }
}

}  // namespace

void attend(cudaStream_t stream, const AttentionCall& call, int64_t batch, const KeysOfEntries& keys, LibraryAttention*) {
  const auto is_short = [&](int64_t of_entry) { return of_entry <= short_keys && call.size <= short_size; };
  for_entries(batch, keys, is_short, [&](const AttentionEntries& some) { short_attention(stream, call, some); });
  for_entries(batch, keys, std::not_fn(is_short), [&](const AttentionEntries& some) { long_attention(stream, call, some); });
}

void attend(cudaStream_t stream, const NarrowAttentionCall& call, int64_t batch, const KeysOfEntries& keys, LibraryAttention* library) {
  if (library && keys.each > short_keys && keys.beside == 1 && keys.listed.empty() && !call.bias && tensor_core_attention_takes(call, keys.beside))
    return library->attend(stream, call, batch, keys.each);
  const auto any = [](int64_t) { return true; };
  for_entries(batch, keys, any, [&](const AttentionEntries& some) { tensor_core_attention(stream, call, some); });
}

}  // namespace cuda

void CudaBackend::attention(View q, View k, View v, float scale, const AttentionBias* bias,
                            std::span<const KeyRange> keys_of, View out) {
  using namespace cuda;
  if (q.size() == 0) return;
  if (attention_by_products(q, scale, bias, keys_of)) return attend_by_products(q, k, v, scale, out);
  if (q.dtype == DType::bfloat16 && !attention_on_tensor_cores(q.shape[3], scale)) {
    const Owned wide_q = as(DType::float32, q), wide_k = as(DType::float32, k), wide_v = as(DType::float32, v);
    attention(wide_q.view, wide_k.view, wide_v.view, scale, bias, keys_of, wide_q.view);   // a block reads its queries before it writes
    return convert(wide_q.view, out);
  }
  with_type(q.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t row = q.shape[2] * q.shape[3];
    AttentionOf<T> call{elements<const T>(q), elements<const T>(k), elements<const T>(v), elements<T>(out), q.shape[1], q.shape[2], q.shape[3], scale,
                        nullptr, 0, 0, 0, row, row, row};
    if (bias) {
      call.bias = floats(bias->values);
      call.bias_batch = bias->batch_stride;
      call.bias_head = bias->head_stride;
      call.bias_query = bias->query_stride;
    }
    attend(stream(), call, q.shape[0], {.each = k.shape[1], .listed = keys_of}, library_attention_.get());
  });
}

}  // namespace pyracast
