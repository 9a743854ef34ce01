#pragma once
// Blocks of a GPU's memory and of pinned memory, and GPU memory that operations take besides their output, where it is more than a converted
// argument: of the back end, and of the plan that knows it beforehand.
#include <algorithm>
#include <bit>

#include "kernels/arithmetic.hpp"

namespace pyracast::cuda {

/// A block of memory for so many bytes: what the pool's blocks begin at multiples of.
constexpr size_t block_bytes(size_t bytes) { return std::max<size_t>(1, (bytes + 511) / 512) * 512; }

/// Pinned memory is taken from the driver a piece at a time; smaller blocks share one.
inline constexpr size_t pinned_piece = 4 << 20, least_pinned_block = 64 << 10;
/// A block of pinned memory for so many bytes.
constexpr size_t pinned_block_bytes(size_t bytes) { return bytes > pinned_piece ? bytes : std::bit_ceil(std::max(least_pinned_block, bytes)); }

/// Of libraries' operations, which run one after the other, for as long as a back end in bfloat16 lives: what NVIDIA recommends for products
/// on Hopper. cuDNN's attention takes some hundred bytes.
inline constexpr size_t library_workspace_bytes = size_t(32) << 20;

/// What is left free of a GPU beside a rank's tensors: its libraries load kernels as they are first used and keep handles, NCCL has buffers for
/// each GPU that it exchanges with, and the pool loses some between blocks. An estimate: none of it has been measured.
inline constexpr int64_t unplanned_bytes = int64_t(1) << 30;

/// What a product's bias is told in: with float8 factors cuBLASLt takes no float32.
constexpr DType bias_type(DType factors, DType out) { return factors == DType::float8 ? DType::bfloat16 : out; }

/// A matrix [rows, depth] in float8 with a float32 scale for each row, behind it.
constexpr size_t float8_scales_offset(int64_t rows, int64_t depth) { return size_t(rows * depth + 255) / 256 * 256; }
constexpr size_t float8_bytes(int64_t rows, int64_t depth) { return float8_scales_offset(rows, depth) + size_t(rows) * sizeof(float); }

/// Whether each output position of a convolution is a product of the input position there: a linear over the channels.
constexpr bool is_pointwise(const ConvolutionGeometry& g) {
  bool pointwise = true;
  for (int axis = 0; axis < 3; ++axis)
    pointwise = pointwise && g.kernel[axis] == 1 && g.stride[axis] == 1 && g.pad_before[axis] == 0 && g.pad_after[axis] == 0;
  return pointwise;
}
/// Whether a convolution of bfloat16 reads its patches where they are. Of few channels, or many taps, they are written out.
inline constexpr int64_t most_taps_in_place = 27;
constexpr bool convolution_in_place(int64_t channels, int64_t taps) { return channels % 8 == 0 && taps <= most_taps_in_place; }
inline bool convolution_in_place(const View& x, const PackedWeights& weight) {
  return x.dtype == DType::bfloat16 && convolution_in_place(x.shape[4], weight.depth / x.shape[4]);
}

/// Rows of the matrix of patches, of `depth` bfloat16 values each, that are written out at a time. Each chunk's output begins at a
/// multiple of 256 bytes, whatever its columns and type.
constexpr int64_t convolution_rows(int64_t positions, int64_t depth) {
  constexpr int64_t most_bytes = int64_t(256) << 20, step = 128;
  return std::min(positions, std::max<int64_t>(1, most_bytes / (depth * int64_t(sizeof(bfloat16)) * step)) * step);
}

/// Whether attention of bfloat16 heads of this size runs on the tensor cores; else it takes converted arguments.
constexpr bool attention_on_tensor_cores(int64_t size, float scale) { return size <= 128 && size % 8 == 0 && scale > 0; }

/// Whether attention of queries q runs as products on the tensor cores: of a wide bfloat16 head alone, whose rows begin at multiples of 256
/// bytes, without a bias and with all keys of an entry.
inline bool attention_by_products(const View& q, float scale, const AttentionBias* bias, std::span<const KeyRange> keys_of) {
  return q.dtype == DType::bfloat16 && q.shape[2] == 1 && q.shape[3] % 128 == 0 && q.shape[3] > 128 && scale > 0 && !bias && keys_of.empty();
}
/// Keys, with those of weight 0 that make rows of scores and weights multiples of 16 bytes.
constexpr int64_t padded_keys(int64_t keys) { return pieces_of(keys, 8) * 8; }
/// Queries whose scores are there at a time.
constexpr int64_t product_attention_rows(int64_t queries, int64_t keys) {
  constexpr int64_t most_bytes = int64_t(256) << 20, step = 128;
  return std::min(queries, std::max<int64_t>(1, most_bytes / (padded_keys(keys) * int64_t(sizeof(float)) * step)) * step);
}
/// Its scores, weights and the transpose of its values.
constexpr size_t scores_bytes(int64_t queries, int64_t keys) {
  return size_t(product_attention_rows(queries, keys) * padded_keys(keys)) * sizeof(float);
}
constexpr size_t weights_bytes(int64_t queries, int64_t keys) {
  return size_t(product_attention_rows(queries, keys) * padded_keys(keys)) * sizeof(bfloat16);
}
constexpr size_t turned_values_bytes(int64_t keys, int64_t size) { return size_t(padded_keys(keys) * size) * sizeof(bfloat16); }

/// Positions of a group norm whose sums are taken together.
inline constexpr int64_t group_norm_piece = 256;
/// Its sums of pieces, and factors, of x [batch, positions, channels].
constexpr size_t group_norm_sums_bytes(int64_t batch, int64_t positions, int64_t channels) {
  return size_t(batch * pieces_of(positions, group_norm_piece) * 2 * channels) * sizeof(double);
}
constexpr size_t group_norm_factors_bytes(int64_t batch, int64_t channels) { return size_t(batch * 2 * channels) * sizeof(float); }

}  // namespace pyracast::cuda
