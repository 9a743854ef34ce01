#pragma once
#include "kernels/backend.hpp"

namespace pyracast {

/// A device that computes nothing and counts the memory that the CPU back end would have in use for the same calls: what a
/// network takes at any size is known in no time, without its weights. What is read from it are zeros.
class PlanningBackend final : public Backend {
 public:
  /// Bytes in use now, and the most at once since forget_most(), in blocks as the CPU's pool takes them.
  size_t in_use() const { return count_->in_use; }
  size_t most_in_use() const { return count_->most; }
  void forget_most() { count_->most = count_->in_use; }

  std::string name() const override { return "planning"; }
  bool computes() const override { return false; }
  std::shared_ptr<void> allocate(size_t bytes) override;
  void upload(const void*, View) override {}
  void download(View x, void* host) override;
  void finish() override {}
  void copy(View, int64_t, const Shape&, View, int64_t, const Shape&, const Shape&) override {}
  void fill(View, float) override {}
  PackedWeights pack(View weight) override;
  void linear(View, const PackedWeights&, const View*, Activation, View) override {}
  void convolution(View, const PackedWeights&, const View*, const ConvolutionGeometry&, View) override {}
  void attention(View, View, View, float, const AttentionBias*, std::span<const KeyRange>, View) override {}
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
  void packed_attention(View, const PackedAttention&, View) override {}

 private:
  struct Count {
    size_t in_use = 0, most = 0;
  };
  std::shared_ptr<Count> count_ = std::make_shared<Count>();   // tensors may outlive the backend, as they may the pool
};

}  // namespace pyracast
