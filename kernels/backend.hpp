#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/dtype.hpp"
#include "base/weight_file.hpp"

namespace pyracast {

/// A contiguous, row-major tensor in a device's memory; does not own it.
struct View {
  void* data = nullptr;
  DType dtype = DType::float32;
  Shape shape;

  int64_t size() const {
    int64_t n = 1;
    for (const int64_t d : shape) n *= d;
    return n;
  }
};

/// Element-wise functions. gelu_tanh is the tanh approximation that the published models use.
enum class Activation { none, relu, silu, gelu_tanh };

/// How pictures of -1 to 1, and what lies beyond, become 8-bit ones. nearest: v = clamped x, (v + 1) / 2 * 255 + 0.5 without its fraction;
/// down: v = x / 2 + 0.5, clamped to 0..1, v * 255 without its fraction. NaN becomes 0.
enum class PixelRounding { nearest, down };

/// How the weights of a product lie: in the published order; those of a convolution of 3 x 3 in space transformed for Winograd's algorithm
/// (kernels/cpu/winograd.hpp); those of one with few outputs with a column for each of these and each tap (kernels/cpu/tap_columns.hpp); or in
/// tiles of AMX's (kernels/cpu/amx.hpp), whose products are of both factors rounded to bfloat16.
enum class WeightLayout { published, winograd, tap_columns, tiles };

/// A weight matrix [columns, depth] laid out as its device multiplies fastest: float32, bfloat16, or in block floating point
/// (int16: whole numbers, each column of 192 values of depth with a scale of its own), or float8 with a scale for each column.
struct PackedWeights {
  std::shared_ptr<void> data;
  DType dtype = DType::float32;
  int64_t columns = 0;   ///< output features
  int64_t depth = 0;     ///< input features (of a convolution: taps * input channels)
  size_t bytes = 0;      ///< that `data` takes
  WeightLayout layout = WeightLayout::published;
};

/// How weights are to be laid out; other than as published, those of a convolution whose input has `channels` channels.
struct Packing {
  DType dtype;
  WeightLayout layout = WeightLayout::published;
  int64_t channels = 0;
  Packing(DType dtype, WeightLayout layout = WeightLayout::published, int64_t channels = 0) : dtype(dtype), layout(layout), channels(channels) {}
};

/// Geometry of a convolution over x [batch, time, height, width, channels]; index 0 is time, 1 height, 2 width.
struct ConvolutionGeometry {
  int64_t kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1};
  int64_t pad_before[3] = {0, 0, 0};   ///< zeros in front
  int64_t pad_after[3] = {0, 0, 0};    ///< zeros behind

  int64_t output_size(int axis, int64_t input) const {
    return (input + pad_before[axis] + pad_after[axis] - kernel[axis]) / stride[axis] + 1;
  }
};

/// An additive attention bias, indexed [batch, head, query, key] by strides in elements (0: shared along that axis).
struct AttentionBias {
  View values;
  int64_t batch_stride = 0, head_stride = 0, query_stride = 0;
};

/// Keys begin to end - 1 of those that lie in a row: the ones a batch entry attends to.
struct KeyRange {
  int64_t begin = 0, end = 0;
};

/// What is done to queries and keys that lie packed in one tensor before they attend.
struct PackedAttention {
  std::optional<View> q_norm, k_norm;      ///< [size]: RMS normalisation of each head
  float epsilon = 1e-6f;                   ///< of the normalisation
  std::optional<View> cosines, sines;      ///< [tokens, size / 2]: rotation, after the normalisation
  float scale = 1;                         ///< of the scores
};

/// A moment in the order of a device's operations: behind those that were asked for before it.
struct Moment {
  std::chrono::steady_clock::time_point clock;   ///< of devices whose operations have ended when the call returns
  std::shared_ptr<void> event = {};              ///< of others

  /// Whether it has come, as is known without asking the device.
  bool is_past() const { return !event; }
};

/// Bytes of a device's memory.
struct DeviceMemory {
  int64_t most_in_use = 0;   ///< by tensors of this process, at once, so far
  int64_t available = 0;     ///< to the tensors of this process when it began; 0: as much as the host gives
};

/// Everything a device must be able to do. The CPU and the GPU each implement it in their own folder, one file an
/// operation; a missing operation does not compile. Shapes and types were checked by the caller (tensor/ops.cpp).
/// Activations are float32, or bfloat16 where activations() says so: x, other activations and out of an operation are of one type then,
/// computed with in float32 and rounded once; factors, norms' weights, angles and biases of scores are float32 always. Each output row depends on its
/// own input rows only, summed in an order that depends on nothing but the row's length: results do not change with batch, threads or ranks, bit for
/// bit. CudaPrecision::bfloat16 alone is let off the second half: there the same shapes give the same bits. Operations may end after the call
/// returns, in the order of calls; download and finish wait for them, and so does who asks for what only they can tell: seconds, and whether values
/// are finite.
struct Backend {
  virtual ~Backend() = default;

  /// "cpu-avx2", "cuda": part of a run's fingerprint, since results are bit-equal only within one of them.
  virtual std::string name() const = 0;

  /// Memory for `bytes` bytes, given back to the device's pool when the last owner lets go.
  virtual std::shared_ptr<void> allocate(size_t bytes) = 0;
  virtual DeviceMemory memory() const = 0;
  /// Gives the blocks that lie idle in the pool back to the system: what is asked for next is something else.
  virtual void release_idle() {}
  /// Memory of the host that uploads read and downloads write fastest, for buffers that are used again and again.
  virtual std::shared_ptr<void> allocate_host(size_t bytes) { return allocate(bytes); }
  virtual void upload(const void* host, View out) = 0;
  virtual void download(View x, void* host) = 0;
  // Copies beside the operations, from and to memory of allocate_host (with other memory of the host they are as slow as the two above). One begins
  // when the operations and the copies that were asked for before it have ended, so that copies may take turns with the same memory of the host.
  // Operations that are asked for later go on beside it until they follow() its end, which is returned. Until then both memories must be
  // kept, x not be changed, and out not be read.
  virtual Moment begin_download(View x, void* host) { return download(x, host), moment(); }
  virtual Moment begin_upload(const void* host, View out) { return upload(host, out), moment(); }
  /// Operations that are asked for from here on begin when the moment has come, which may be one of what others do with this device's memory
  /// (Communicator). The caller does not wait.
  virtual void follow(const Moment&) {}
  /// x as it is behind all that was asked for before, for later: what is returned copies it to the host, in any thread, once, and waits for
  /// nothing that was asked for afterwards. Until it has returned x must live and stay as it is.
  virtual std::function<void(void* host)> download_later(View x) {
    return [this, x](void* host) { download(x, host); };
  }
  /// What a network's tokens and pictures are kept in, float32 or bfloat16; latents, conditions and text are float32 always.
  virtual DType activations() const { return DType::float32; }
  /// False where nothing is computed and memory is only counted: what is read from there are zeros, and weights need not be read.
  virtual bool computes() const { return true; }
  /// Waits until all that was asked for is done.
  virtual void finish() = 0;
  virtual Moment moment() { return {std::chrono::steady_clock::now()}; }
  /// Seconds between two moments of this device; waits until both have come.
  virtual double seconds(const Moment& from, const Moment& to) { return std::chrono::duration<double>(to.clock - from.clock).count(); }
  /// Whether all of x are finite numbers, as of now. Who asks what is returned waits for what came before, and for nothing that came later.
  virtual std::function<bool()> all_finite(View x) = 0;

  /// Copies shape[0] x shape[1] x ... elements of `element` bytes; strides and offsets in elements. A stride of 0 in
  /// `in_strides` repeats. Permutations, slices, joins, padding and repetition are all this one operation.
  virtual void copy(View in, int64_t in_offset, const Shape& in_strides, View out, int64_t out_offset,
                    const Shape& out_strides, const Shape& shape) = 0;
  virtual void fill(View out, float value) = 0;
  /// out = x, of the same shape, each float32 or bfloat16; rounded to nearest even.
  virtual void convert(View x, View out) = 0;
  /// out = x, float32 or bfloat16, as 8-bit pixels (uint8), of the same shape.
  virtual void to_pixels(View x, PixelRounding rounding, View out) = 0;

  /// weight [columns, depth], float32 or bfloat16, in the published order (PyTorch's Linear). `as` int16, on the CPU: the weights and
  /// what they are multiplied with are rounded to block floating point (Rouhani et al., arXiv 2302.08007, of 16 bits and by the block's
  /// norm), which errs by 1e-4 of the product's norm. `as` float8, on a GPU's tensor cores: the weights and what they are multiplied with are rounded
  /// to it, each column and each row scaled by its largest magnitude. Else the weight's own type, in which nothing more is rounded.
  virtual PackedWeights pack(View weight, Packing as) = 0;
  PackedWeights pack_exactly(View weight) { return pack(weight, weight.dtype); }
  /// out = activation(x weight^T + bias); x [rows, depth], bias [columns], of either type, or absent, out [rows, columns].
  /// With a `residual`, like out, and no activation, out = residual + (x weight^T + bias), and with a `gate` as of add_gated() as well,
  /// [groups, columns] of rows that fall into as many equal runs, out = residual + gate * (x weight^T + bias).
  virtual void linear(View x, const PackedWeights& weight, const View* bias, Activation activation, View out, const View* residual = nullptr,
                      const View* gate = nullptr) = 0;
  /// How pack() is to lay out the weights of such a convolution, for convolution() to be fastest, where a matrix would be packed `as` that.
  virtual Packing packing(const ConvolutionGeometry&, int64_t /*in_channels*/, int64_t /*out_channels*/, Packing as) const { return as; }
  /// Cross-correlation, x [batch, time, height, width, channels]; weight packed from
  /// [output channels, kernel time, kernel height, kernel width, channels], in any way or in that of packing(). A `residual` as of linear().
  virtual void convolution(View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry, View out,
                           const View* residual = nullptr) = 0;
  /// softmax(scale q k^T + bias) v for each batch entry and head; q [batch, queries, heads, size],
  /// k, v [batch, keys, heads, size], out like q. With `keys_of` (one a batch entry) k and v are
  /// [1, all keys, heads, size] and entry b attends to the keys of keys_of[b] only.
  virtual void attention(View q, View k, View v, float scale, const AttentionBias* bias,
                         std::span<const KeyRange> keys_of, View out) = 0;

  /// Normalises each row (last axis) to mean 0 and variance 1 (population), then * weight + bias where given.
  virtual void layer_norm(View x, float epsilon, const View* weight, const View* bias, View out) = 0;
  /// x / sqrt(mean(x^2) + epsilon) * weight over the last axis.
  virtual void rms_norm(View x, float epsilon, View weight, View out) = 0;
  /// Normalises over (all positions, channels of a group) of each batch entry; x [batch, positions, channels];
  /// then * weight + bias per channel, then the activation.
  virtual void group_norm(View x, int64_t groups, float epsilon, View weight, View bias, Activation activation,
                          View out) = 0;

  /// out = x * (1 + scale) + shift; x [groups, rows, channels], shift and scale [groups, channels].
  virtual void modulate(View x, View shift, View scale, View out) = 0;
  /// out = x * gate; x [groups, rows, channels], gate [groups, channels].
  virtual void gate(View x, View gate, View out) = 0;
  /// Rotates the pairs (2i, 2i+1) of each head by the angle of its token: x [batch, tokens, heads, size],
  /// cosines and sines [tokens, size / 2].
  virtual void rotate(View x, View cosines, View sines, View out) = 0;

  virtual void activate(View x, Activation activation, View out) = 0;
  virtual void add(View a, View b, View out) = 0;
  virtual void multiply(View a, View b, View out) = 0;
  /// out = a * x + b * y.
  virtual void combine(float a, View x, float b, View y, View out) = 0;
  /// out[i] = table[indices[i]]; table [n, columns], out of its type.
  virtual void gather_rows(View table, std::span<const int64_t> indices, View out) = 0;

  // Several of the above in a row, for devices that save passes over memory by doing them at once; the results are
  // those of the operations above, which is also what a device does that has nothing better (kernels/composed.cpp).

  /// modulate(layer_norm(x)), x [groups, rows, channels].
  virtual void modulated_norm(View x, float epsilon, View shift, View scale, View out);
  /// out = x + gate(branch); x and branch [groups, rows, channels], gate [groups, channels].
  virtual void add_gated(View x, View branch, View gate, View out);
  /// attention(rotate(rms_norm(q)), rotate(rms_norm(k)), v), each as far as `with` says so, of sequences along the second axis;
  /// qkv [batch, tokens, beside, 3, heads, size], out [batch, tokens, beside, heads, size]: the tokens of `beside` sequences lie
  /// between each other's, as those of a video's places do along time.
  virtual void packed_attention(View qkv, const PackedAttention& with, View out);
};

/// Which processor instructions the CPU back end may use; automatic: the best of avx2, avx512 and avx512vnni, which give the same bits. amx are those
/// of avx512vnni and AMX's tiles, in which weights may be packed then and attention multiplies.
enum class CpuIsa { automatic, portable, avx2, avx512, avx512vnni, amx };

/// What keeps this process from AMX's tiles of bfloat16, or nothing: then it may use them from now on.
std::string amx_is_kept_from_us_by();

/// The CPU back end. Throws Error when the processor lacks the instruction set asked for.
std::unique_ptr<Backend> make_cpu_backend(CpuIsa isa = CpuIsa::automatic);

/// What a GPU's matrix products are computed in. float32: as on the CPU, TF32 never; bfloat16 weights are widened.
/// bfloat16: factors of linears and convolutions are rounded to bfloat16 for the tensor cores, sums are float32.
enum class CudaPrecision { float32, bfloat16 };

/// What long self attentions in bfloat16 run by: cuDNN, the back end's own kernel, or (automatic) cuDNN in builds with it.
enum class CudaAttention { automatic, cudnn, own };

/// The CUDA back end on the GPU with this index. Throws Error in builds without CUDA, or where there is no such GPU, or without cuDNN where it
/// is asked for.
std::unique_ptr<Backend> make_cuda_backend(int device, CudaPrecision precision, CudaAttention attention = CudaAttention::automatic);

/// The GPUs that this process sees, each by a name that no other GPU has; none where there are none, and in builds without CUDA.
std::vector<std::string> visible_gpus();

}  // namespace pyracast
