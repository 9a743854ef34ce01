#pragma once
#include "kernels/backend.hpp"

namespace pyracast {

/// A device that computes nothing and counts: the memory that the CPU back end would have in use for the same calls, and the work. What a
/// network takes at any size is known in no time, without its weights. What is read from it are zeros.
class PlanningBackend : public Backend {
 public:
  /// Bytes in use now, and the most at once since forget_most(), in blocks as the CPU's pool takes them.
  size_t in_use() const { return count_->in_use; }
  size_t most_in_use() const { return count_->most; }
  void forget_most() { count_->most = count_->in_use; }
  /// Multiply-adds of all products (linears, convolutions, attentions) so far.
  double multiply_adds() const { return count_->multiply_adds; }

  std::string name() const override { return "planning"; }
  bool computes() const override { return false; }
  std::shared_ptr<void> allocate(size_t bytes) override;
  void upload(const void*, View) override {}
  void download(View x, void* host) override;
  void finish() override {}
  std::function<bool()> all_finite(View) override { return [] { return true; }; }
  void copy(View, int64_t, const Shape&, View, int64_t, const Shape&, const Shape&) override {}
  void fill(View, float) override {}
  PackedWeights pack(View weight, DType as) override;
  void linear(View x, const PackedWeights& weight, const View*, Activation, View) override { count_products(x.size(), weight.columns); }
  void convolution(View, const PackedWeights& weight, const View*, const ConvolutionGeometry&, View out) override { count_products(out.size(), weight.depth); }
  void attention(View q, View k, View, float, const AttentionBias*, std::span<const KeyRange> keys_of, View) override;
  void layer_norm(View, float, const View*, const View*, View) override {}
  void rms_norm(View, float, View, View) override {}
  void group_norm(View, int64_t, float, View, View, Activation, View) override {}
  void modulate(View, View, View, View) override {}
  void gate(View, View, View) override {}
  void rotate(View, View, View, View) override {}
  void activate(View, Activation, View) override {}
  void add(View, View, View) override {}
  void multiply(View, View, View) override {}
  void combine(float, View, float, View, View) override {}
  void gather_rows(View, std::span<const int64_t>, View) override {}
  // The CPU has its own of these, which take no memory besides their output.
  void modulated_norm(View, float, View, View, View) override {}
  void add_gated(View, View, View, View) override {}
  void packed_attention(View, const PackedAttention&, View out) override { count_products(2 * out.size(), out.shape[1]); }

 private:
  void count_products(int64_t outputs, int64_t depth) { count_->multiply_adds += double(outputs) * double(depth); }

  struct Count {
    size_t in_use = 0, most = 0;
    double multiply_adds = 0;
  };
  std::shared_ptr<Count> count_ = std::make_shared<Count>();   // tensors may outlive the backend, as they may the pool
};

}  // namespace pyracast
