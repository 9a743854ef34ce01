// Stands in for cuDNN, where a test asks for it: the same attention by its definition.
#include "kernels/cuda/library_attention.hpp"

#include <cmath>
#include <vector>

#include "cuda_runtime.h"

namespace pyracast::cuda {

namespace {

class ByDefinition final : public LibraryAttention {
 public:
  std::string version() const override { return "attention"; }

  void attend(cudaStream_t stream, const NarrowAttentionCall& call, int64_t batch, int64_t keys) override {
    ++emulated::library_attentions;
    emulated::finish(stream);   // what it reads is there
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t query = 0; query < call.queries; ++query)
        for (int64_t h = 0; h < call.heads; ++h) row(call, b, query, h, keys);
  }

 private:
  static void row(const NarrowAttentionCall& call, int64_t b, int64_t query, int64_t h, int64_t keys) {
    const int64_t size = call.size, head = h * size, of_query = b * call.queries + query;
    const bfloat16* const q = call.q + of_query * call.q_row + head;
    std::vector<double> weights, sums(size_t(size), 0.);
    double largest = -INFINITY, total = 0;
    for (int64_t key = 0; key < keys; ++key) {
      const bfloat16* const k = call.k + (b * keys + key) * call.k_row + head;
      double score = 0;
      for (int64_t d = 0; d < size; ++d) score += double(float(q[d])) * double(float(k[d]));
      weights.push_back(score * call.scale);
      largest = std::max(largest, weights.back());
    }
    for (double& weight : weights) total += weight = std::exp(weight - largest);
    for (int64_t key = 0; key < keys; ++key)
      for (int64_t d = 0; d < size; ++d) sums[size_t(d)] += weights[size_t(key)] * float(call.v[(b * keys + key) * call.v_row + head + d]);
    for (int64_t d = 0; d < size; ++d) call.out[(of_query * call.heads + h) * size + d] = bfloat16(float(sums[size_t(d)] / total));
  }
};

}  // namespace

std::unique_ptr<LibraryAttention> make_library_attention(int, void*) {
  return emulated::with_library_attention ? std::make_unique<ByDefinition>() : nullptr;
}

}  // namespace pyracast::cuda
