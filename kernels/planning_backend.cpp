#include "kernels/planning_backend.hpp"

#include <cstring>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/matrix_product.hpp"
#include "kernels/cpu/packing.hpp"
#include "kernels/cuda/scratch.hpp"

namespace pyracast {

PlanningBackend::PlanningBackend(PlannedDevice device) : device_(device) {
  if (on_tensor_cores()) workspace_ = allocate(cuda::library_workspace_bytes);
}

namespace {

char nowhere;   // a tensor is told from none by where its memory lies

}  // namespace

std::shared_ptr<void> PlanningBackend::allocate(size_t bytes) {
  const size_t block = on_gpu() ? cuda::block_bytes(bytes) : MemoryPool::block_bytes(bytes);
  count_->in_use += block;
  count_->most = std::max(count_->most, count_->in_use);
  return {&nowhere, [count = count_, block](void*) { count->in_use -= block; }};
}

std::shared_ptr<void> PlanningBackend::allocate_host(size_t bytes) {
  if (!on_gpu()) return allocate(bytes);
  const size_t block = cuda::pinned_block_bytes(bytes);
  count_->host_in_use += block;
  count_->most_host = std::max(count_->most_host, count_->host_in_use);
  return {&nowhere, [count = count_, block](void*) { count->host_in_use -= block; }};
}

void PlanningBackend::download(View x, void* host) { std::memset(host, 0, size_t(x.size()) * size_of(x.dtype)); }

std::shared_ptr<void> PlanningBackend::as(DType dtype, const View& x) {
  return x.dtype == dtype ? nullptr : allocate(size_t(x.size()) * size_of(dtype));
}

PackedWeights PlanningBackend::pack(View weight, Packing as) {
  const int64_t columns = weight.shape[0], depth = weight.size() / columns;
  const DType kept = on_gpu() && as.dtype != DType::float8 ? activations() : as.dtype;
  const size_t bytes = as.dtype == DType::float8 ? cuda::float8_bytes(columns, depth)
                       : on_gpu()                ? size_t(weight.size()) * size_of(kept)
                                                 : size_t(cpu::PackedFactors(columns, depth, as).bytes());
  return {allocate(bytes), kept, columns, depth, bytes, as.layout};
}

Packing PlanningBackend::packing(const ConvolutionGeometry& geometry, int64_t in_channels, int64_t out_channels, Packing as) const {
  return on_gpu() ? as : cpu::packing(geometry, in_channels, out_channels, as);
}

void PlanningBackend::linear(View x, const PackedWeights& weight, const View* bias, Activation, View out, const View*, const View*) {
  count_products(x.size(), weight.columns);
  if (!on_tensor_cores() || x.size() == 0) return;
  const auto added = bias ? as(cuda::bias_type(weight.dtype, out.dtype), *bias) : nullptr;
  const auto narrow = weight.dtype == DType::float8 ? allocate(cuda::float8_bytes(x.size() / weight.depth, weight.depth)) : as(DType::bfloat16, x);
}

void PlanningBackend::convolution(View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry, View out, const View*) {
  if (on_tensor_cores() && cuda::is_pointwise(geometry)) return linear(x, weight, bias, Activation::none, out);
  count_products(out.size(), weight.depth);
  if (!on_tensor_cores() || out.size() == 0) return;
  if (cuda::convolution_in_place(x, weight)) {
    const auto added = bias ? as(DType::float32, *bias) : nullptr;
    return;
  }
  const int64_t rows = cuda::convolution_rows(out.size() / weight.columns, weight.depth);
  const auto added = bias ? as(out.dtype, *bias) : nullptr, patches = allocate(size_t(rows * weight.depth) * sizeof(bfloat16));
}

void PlanningBackend::attention(View q, View k, View v, float scale, const AttentionBias* bias, std::span<const KeyRange> keys_of, View) {
  const int64_t per_key = q.size() / std::max<int64_t>(1, q.shape[0]);   // of a batch entry
  if (keys_of.empty()) count_products(2 * q.size(), k.shape[1]);
  for (const KeyRange& keys : keys_of) count_products(2 * per_key, keys.end - keys.begin);
  if (cuda::attention_by_products(q, scale, bias, keys_of)) {
    const auto scores = allocate(cuda::scores_bytes(q.shape[1], k.shape[1])), weights = allocate(cuda::weights_bytes(q.shape[1], k.shape[1])),
               values = allocate(cuda::turned_values_bytes(k.shape[1], k.shape[3]));
    return;
  }
  if (q.size() == 0 || cuda::attention_on_tensor_cores(q.shape[3], scale)) return;   // a float32 argument needs no other
  const auto wide_q = as(DType::float32, q), wide_k = as(DType::float32, k), wide_v = as(DType::float32, v);
}

void PlanningBackend::group_norm(View x, int64_t, float, View, View, Activation, View) {
  if (!on_gpu() || x.size() == 0) return;
  const auto sums = allocate(cuda::group_norm_sums_bytes(x.shape[0], x.shape[1], x.shape[2]));
  const auto factors = allocate(cuda::group_norm_factors_bytes(x.shape[0], x.shape[2]));
}

void PlanningBackend::packed_attention(View qkv, const PackedAttention& with, View out) {
  count_products(2 * out.size(), out.shape[1]);
  if (!on_gpu() || out.size() == 0) return;
  const bool wide = !cuda::attention_on_tensor_cores(qkv.shape[5], with.scale);
  const auto wide_qkv = wide ? as(DType::float32, qkv) : nullptr, wide_out = wide ? as(DType::float32, out) : nullptr;
  if (!with.q_norm && !with.cosines) return;
  const size_t bytes = size_t(out.size()) * (wide ? sizeof(float) : size_of(out.dtype));
  const auto queries = allocate(bytes), keys = allocate(bytes);
}

}  // namespace pyracast
