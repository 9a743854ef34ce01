#pragma once
#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/worth_threads.hpp"

namespace pyracast {

/// Blocks that were given back, by size, so that a step of the loop takes none from the system. Prompts of many lengths
/// and videos of many sizes leave blocks of many sizes: before the pool comes to hold more than twice what was ever in
/// use at once, the sizes that were idle longest go back to the system.
class MemoryPool : public std::enable_shared_from_this<MemoryPool> {
 public:
  ~MemoryPool();
  std::shared_ptr<void> allocate(size_t bytes);
  /// Gives all idle blocks back to the system, and forgets for how much they were held.
  void release_idle();

  /// The bytes of the block that is taken for `bytes` bytes.
  static size_t block_bytes(size_t bytes) { return std::max<size_t>(64, (bytes + 63) / 64 * 64); }
  /// Blocks taken from the system so far, and bytes held: in use and idle.
  size_t blocks_made() const { return blocks_made_; }
  size_t bytes_held() const { return in_use_ + idle_; }
  /// The most bytes that were in use at once.
  size_t most_in_use() const { return most_in_use_; }

 private:
  struct Idle {
    std::vector<void*> blocks;
    uint64_t last_used = 0;
  };
  std::mutex mutex_;
  std::map<size_t, Idle> free_;   // by bytes
  uint64_t clock_ = 0;
  size_t in_use_ = 0, idle_ = 0, most_in_use_ = 0, blocks_made_ = 0;
  size_t most_since_release_ = 0;   // in use at once

  void give_back(void* block, size_t bytes);
  void* idle_block(size_t bytes);
  void release_idle(size_t most_held);
};

/// The reference device: float32 arithmetic, OpenMP threads over independent rows, weights in float32 or bfloat16.
class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const cpu::Simd& simd) : simd_(simd) {}

  const MemoryPool& pool() const { return *pool_; }
  const cpu::Simd& simd() const { return simd_; }

  std::string name() const override;
  std::shared_ptr<void> allocate(size_t bytes) override { return pool_->allocate(bytes); }
  DeviceMemory memory() const override { return {int64_t(pool_->most_in_use()), 0}; }
  void release_idle() override { pool_->release_idle(); }
  void upload(const void* host, View out) override;
  void download(View x, void* host) override;
  void finish() override {}
  std::function<bool()> all_finite(View x) override;
  void copy(View in, int64_t in_offset, const Shape& in_strides, View out, int64_t out_offset,
            const Shape& out_strides, const Shape& shape) override;
  void fill(View out, float value) override;
  void convert(View x, View out) override;
  void to_pixels(View x, PixelRounding rounding, View out) override;
  PackedWeights pack(View weight, Packing as) override;
  Packing packing(const ConvolutionGeometry& geometry, int64_t in_channels, int64_t out_channels, Packing as) const override;
  void linear(View x, const PackedWeights& weight, const View* bias, Activation activation, View out, const View* residual = nullptr,
              const View* gate = nullptr) override;
  void convolution(View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry, View out,
                   const View* residual = nullptr) override;
  void attention(View q, View k, View v, float scale, const AttentionBias* bias, std::span<const KeyRange> keys_of,
                 View out) override;
  void layer_norm(View x, float epsilon, const View* weight, const View* bias, View out) override;
  void rms_norm(View x, float epsilon, View weight, View out) override;
  void group_norm(View x, int64_t groups, float epsilon, View weight, View bias, Activation activation,
                  View out) override;
  void modulate(View x, View shift, View scale, View out) override;
  void gate(View x, View gate, View out) override;
  void rotate(View x, View cosines, View sines, View out) override;
  void activate(View x, Activation activation, View out) override;
  void add(View a, View b, View out) override;
  void multiply(View a, View b, View out) override;
  void combine(float a, View x, float b, View y, View out) override;
  void gather_rows(View table, std::span<const int64_t> indices, View out) override;
  void modulated_norm(View x, float epsilon, View shift, View scale, View out) override;
  void add_gated(View x, View branch, View gate, View out) override;
  void packed_attention(View qkv, const PackedAttention& with, View out) override;

 private:
  const cpu::Simd& simd_;
  std::shared_ptr<MemoryPool> pool_ = std::make_shared<MemoryPool>();
};

namespace cpu {

/// The floats of a float32 view.
inline float* floats(const View& x) { return static_cast<float*>(x.data); }

/// Whether rows of `out` are written past the caches: where all of it is more than a core's share of a processor's last one (2 to 4 MB), it
/// would leave that before it is read, and its place would have been read from memory only to be written over.
inline bool past_caches(const View& out) {
  constexpr int64_t least = 4 << 20, line = 64;
  const int64_t row = out.shape.back() * int64_t(sizeof(float));
  return out.size() * int64_t(sizeof(float)) >= least && row % line == 0 && reinterpret_cast<uintptr_t>(out.data) % line == 0;
}

/// A row of modulate(); out may be x.
inline void modulate_row(const float* x, const float* shift, const float* scale, int64_t n, float* out) {
  for (int64_t c = 0; c < n; ++c) out[c] = x[c] * (1 + scale[c]) + shift[c];
}

/// Splits [0, n) into pieces for OpenMP where there is enough to do; each index is computed alike in whatever piece it falls.
/// `elements`: of an index, read or written.
template <class Body>
void parallel_pieces(int64_t n, int64_t elements, Body body) {
  if (n * elements < elements_worth_threads) return body(0, n);
  const int64_t grain = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(elements, 1)), pieces = (n + grain - 1) / grain;
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < pieces; ++p) body(p * grain, std::min(n, (p + 1) * grain));
}

}  // namespace cpu
}  // namespace pyracast
