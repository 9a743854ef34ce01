#include "kernels/planning_backend.hpp"

#include <cstring>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/matrix_product.hpp"

namespace pyracast {

std::shared_ptr<void> PlanningBackend::allocate(size_t bytes) {
  static char nowhere;   // a tensor is told from none by where its memory lies
  const size_t block = MemoryPool::block_bytes(bytes);
  count_->in_use += block;
  count_->most = std::max(count_->most, count_->in_use);
  return {&nowhere, [count = count_, block](void*) { count->in_use -= block; }};
}

void PlanningBackend::download(View x, void* host) { std::memset(host, 0, size_t(x.size()) * size_of(x.dtype)); }

PackedWeights PlanningBackend::pack(View weight, DType as) {
  const int64_t columns = weight.shape[0], depth = weight.size() / columns;
  const size_t bytes = size_t(cpu::packed_bytes(columns, depth, as));
  return {allocate(bytes), as, columns, depth, bytes};
}

void PlanningBackend::attention(View q, View k, View, float, const AttentionBias*, std::span<const KeyRange> keys_of, View) {
  const int64_t per_key = q.size() / q.shape[0];   // of a batch entry
  if (keys_of.empty()) return count_products(2 * q.size(), k.shape[1]);
  for (const KeyRange& keys : keys_of) count_products(2 * per_key, keys.end - keys.begin);
}

}  // namespace pyracast
