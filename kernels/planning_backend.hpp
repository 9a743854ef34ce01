#pragma once
#include "kernels/backend.hpp"

namespace pyracast {

/// Whose memory is planned: the CPU's, or a GPU's that computes in this precision.
enum class PlannedDevice { cpu, gpu_float32, gpu_bfloat16 };

/// A device that computes nothing and counts: the memory that another one would have in use for the same calls, and the work. What a
/// network takes at any size is known in no time, without its weights. What is read from it are zeros.
class PlanningBackend : public Backend {
 public:
  explicit PlanningBackend(PlannedDevice device = PlannedDevice::cpu);

  /// Bytes in use now, and the most at once since forget_most(), in blocks as the device's pool takes them.
  size_t in_use() const { return count_->in_use; }
  size_t most_in_use() const { return count_->most; }
  void forget_most() { count_->most = count_->in_use; }
  /// The most bytes at once of a GPU's allocate_host(), in blocks as its pool takes them. The CPU's are tensors' memory.
  size_t most_host_in_use() const { return count_->most_host; }
  /// Multiply-adds of all products (linears, convolutions, attentions) so far.
  double multiply_adds() const { return count_->multiply_adds; }

  std::string name() const override { return "planning"; }
  bool computes() const override { return false; }
  DType activations() const override { return device_ == PlannedDevice::gpu_bfloat16 ? DType::bfloat16 : DType::float32; }
  std::shared_ptr<void> allocate(size_t bytes) override;
  DeviceMemory memory() const override { return {int64_t(count_->most), 0}; }
  std::shared_ptr<void> allocate_host(size_t bytes) override;
  void upload(const void*, View) override {}
  void download(View x, void* host) override;
  Moment begin_download(View, void*) override { return moment(); }
  Moment begin_upload(const void*, View) override { return moment(); }
  void finish() override {}
  std::function<bool()> all_finite(View) override { return [] { return true; }; }
  void copy(View, int64_t, const Shape&, View, int64_t, const Shape&, const Shape&) override {}
  void fill(View, float) override {}
  void convert(View, View) override {}
  void to_pixels(View, PixelRounding, View) override {}
  PackedWeights pack(View weight, Packing as) override;
  Packing packing(const ConvolutionGeometry& geometry, int64_t in_channels, int64_t out_channels, Packing as) const override;
  void linear(View x, const PackedWeights& weight, const View* bias, Activation, View out, const View* residual = nullptr,
              const View* gate = nullptr) override;
  void convolution(View, const PackedWeights& weight, const View* bias, const ConvolutionGeometry&, View out,
                   const View* residual = nullptr) override;
  void attention(View q, View k, View v, float, const AttentionBias*, std::span<const KeyRange> keys_of, View) override;
  void layer_norm(View, float, const View*, const View*, View) override {}
  void rms_norm(View, float, View, View) override {}
  void group_norm(View x, int64_t, float, View, View, Activation, View) override;
  void modulate(View, View, View, View) override {}
  void gate(View, View, View) override {}
  void rotate(View, View, View, View) override {}
  void activate(View, Activation, View) override {}
  void add(View, View, View) override {}
  void multiply(View, View, View) override {}
  void combine(float, View, float, View, View) override {}
  void gather_rows(View, std::span<const int64_t>, View) override {}
  // The CPU's own of these take no memory besides their output, nor do a GPU's but for the last.
  void modulated_norm(View, float, View, View, View) override {}
  void add_gated(View, View, View, View) override {}
  void packed_attention(View qkv, const PackedAttention& with, View out) override;

 private:
  bool on_gpu() const { return device_ != PlannedDevice::cpu; }
  bool on_tensor_cores() const { return device_ == PlannedDevice::gpu_bfloat16; }
  /// Memory for x in another type, where it is not of that type.
  std::shared_ptr<void> as(DType dtype, const View& x);
  void count_products(int64_t outputs, int64_t depth) { count_->multiply_adds += double(outputs) * double(depth); }

  struct Count {
    size_t in_use = 0, most = 0, host_in_use = 0, most_host = 0;
    double multiply_adds = 0;
  };
  std::shared_ptr<Count> count_ = std::make_shared<Count>();   // tensors may outlive the backend, as they may the pool
  PlannedDevice device_;
  std::shared_ptr<void> workspace_;
};

}  // namespace pyracast
