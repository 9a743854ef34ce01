#pragma once
#include <cuda_runtime.h>

#include <atomic>
#include <deque>
#include <map>
#include <mutex>

#include "kernels/backend.hpp"
#include "kernels/cuda/library_attention.hpp"
#include "kernels/cuda/scratch.hpp"
#include "kernels/cuda/tensor_cores.hpp"

namespace pyracast {

namespace cuda {

class Departures;

/// A stream on a GPU and one for copies beside it, the pool of its memory, and memory of the host that the GPU reads and writes by itself
/// (pinned). Blocks hold it until they are given back.
class DeviceStream {
 public:
  explicit DeviceStream(int device);
  ~DeviceStream();
  DeviceStream(const DeviceStream&) = delete;
  DeviceStream& operator=(const DeviceStream&) = delete;

  /// The stream, with its GPU made this thread's current one. Launches need that, and calls of the runtime that do not would begin to use GPU 0,
  /// and take hundreds of MB there, in a thread that has chosen none.
  cudaStream_t current() const;
  /// Memory in the order of the stream: it may be given back while the GPU still works on it.
  static std::shared_ptr<void> allocate(const std::shared_ptr<DeviceStream>& from, size_t bytes);
  /// The most bytes of blocks that were in use at once.
  size_t most_in_use() const { return most_in_use_; }
  /// Gives the driver back what lies idle in the pool, behind all that the GPU was asked for.
  void release_idle();
  /// Memory of the host, which may be given back while the stream still works on it. Blocks are kept, so that a step of the loop takes nothing
  /// from the driver, which might stop the GPU for it: larger ones than host_piece until one of another size is wanted.
  static std::shared_ptr<void> allocate_host(const std::shared_ptr<DeviceStream>& from, size_t bytes);
  static constexpr size_t host_piece = pinned_piece;
  /// Copies behind what the stream and this were asked for before, and gives the end.
  Moment copy_beside(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) const;

 private:
  struct HostBlock {
    size_t bytes = 0;
    void* memory = nullptr;
    cudaEvent_t given_back = nullptr;   // in the order of the stream
  };

  int device_;
  cudaStream_t stream_ = nullptr, copies_ = nullptr;
  cudaMemPool_t pool_ = nullptr;
  std::atomic<size_t> in_use_ = 0, most_in_use_ = 0;
  std::mutex mutex_;
  std::vector<void*> host_pieces_;
  std::map<size_t, std::deque<HostBlock>> idle_;   // by bytes, in the order in which they were given back

  void* pinned(size_t bytes) const;
  HostBlock host_block(size_t bytes);
  void give_back(const HostBlock& block);
  void release_large_host_blocks();   // that are idle; under mutex_
};

}  // namespace cuda

/// One GPU. CudaPrecision says in what activations are kept and products computed.
class CudaBackend final : public Backend {
 public:
  CudaBackend(int device, CudaPrecision precision, CudaAttention attention = CudaAttention::automatic);

  /// Where all operations run, one after the other.
  cudaStream_t stream() const { return stream_->current(); }

  std::string name() const override { return name_; }
  DType activations() const override { return tensor_cores_ ? DType::bfloat16 : DType::float32; }
  std::shared_ptr<void> allocate(size_t bytes) override { return cuda::DeviceStream::allocate(stream_, bytes); }
  DeviceMemory memory() const override { return {int64_t(stream_->most_in_use()), available_}; }
  void release_idle() override { stream_->release_idle(); }
  std::shared_ptr<void> allocate_host(size_t bytes) override { return cuda::DeviceStream::allocate_host(stream_, bytes); }
  void upload(const void* host, View out) override;
  void download(View x, void* host) override;
  Moment begin_download(View x, void* host) override;
  Moment begin_upload(const void* host, View out) override;
  void follow(const Moment& moment) override;
  std::function<void(void* host)> download_later(View x) override;
  void finish() override;
  Moment moment() override;
  double seconds(const Moment& from, const Moment& to) override;
  std::function<bool()> all_finite(View x) override;
  void copy(View in, int64_t in_offset, const Shape& in_strides, View out, int64_t out_offset,
            const Shape& out_strides, const Shape& shape) override;
  void fill(View out, float value) override;
  void convert(View x, View out) override;
  void to_pixels(View x, PixelRounding rounding, View out) override;
  PackedWeights pack(View weight, Packing packing) override;
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
  /// A tensor, and its memory where it is a copy in another type.
  struct Owned {
    View view;
    std::shared_ptr<void> memory;
  };

  std::shared_ptr<cuda::DeviceStream> stream_;
  std::shared_ptr<cuda::Departures> departures_;
  std::string name_;
  int multiprocessors_ = 0;
  int64_t available_ = 0;
  bool scales_float8_rows_ = false;
  std::shared_ptr<void> workspace_;   // of both libraries, in bfloat16
  std::unique_ptr<cuda::TensorCores> tensor_cores_;   // none: products are computed in float32
  std::unique_ptr<cuda::LibraryAttention> library_attention_;   // none: attentions are the own kernels'

  Owned as(DType dtype, const View& x);
  Owned floats_like(const View& x);
  /// attention() of what attention_by_products() says (scratch.hpp).
  void attend_by_products(View q, View k, View v, float scale, View out);
};

}  // namespace pyracast
