#pragma once
// The checked operations on tensors: shapes and types are checked here, once for every device. All throw Error that
// names the operation and both shapes. What comes out is of the type of what goes in first, float32 or bfloat16.
#include <initializer_list>
#include <optional>
#include <span>

#include "tensor/tensor.hpp"

namespace pyracast {

/// A tensor like x, not initialised.
Tensor like(const Tensor& x);
Tensor zeros(Backend& backend, Shape shape, DType dtype = DType::float32);
/// x in another type, each float32 or bfloat16; x itself where it is of that type.
Tensor converted(const Tensor& x, DType dtype);
/// x as a network keeps its tokens on this device (Backend::activations), and back.
inline Tensor to_activations(const Tensor& x) { return x.empty() ? x : converted(x, x.backend().activations()); }
inline Tensor to_float32(const Tensor& x) { return converted(x, DType::float32); }
/// Pictures as 8-bit pixels (uint8), of the same shape.
Tensor to_pixels(const Tensor& x, PixelRounding rounding);

/// What a product is added to: x + gate * product, x like the product, the gate as in gate() (empty: ones). Where x is empty: nothing.
struct Residual {
  Tensor x, gate;
  Residual(Tensor x = {}, Tensor gate = {}) : x(std::move(x)), gate(std::move(gate)) {}
};

/// activation(x weight^T + bias): x [..., depth] -> [..., columns]. Where it is added to a residual there is no activation.
Tensor linear(const Tensor& x, const PackedWeights& weight, const Tensor& bias, Activation activation = Activation::none,
              const Residual& residual = {});
/// x [batch, time, height, width, channels] -> the same axes, output channels last.
/// Added to a `residual` (empty: none) like the result.
Tensor convolution(const Tensor& x, const PackedWeights& weight, const Tensor& bias, const ConvolutionGeometry& geometry,
                   const Tensor& residual = {});
/// q [batch, queries, heads, size], k and v [batch, keys, heads, size] -> like q. `bias` (empty: none) is
/// [1 or batch, 1 or heads, 1 or queries, keys]. With `keys_of` k and v are [1, all keys, heads, size], and entry b
/// attends to the keys of keys_of[b].
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, const Tensor& bias = {},
                 std::span<const KeyRange> keys_of = {});

/// weight and bias may be empty.
Tensor layer_norm(const Tensor& x, float epsilon, const Tensor& weight = {}, const Tensor& bias = {});
Tensor rms_norm(const Tensor& x, float epsilon, const Tensor& weight);
/// x [batch, ..., channels].
Tensor group_norm(const Tensor& x, int64_t groups, float epsilon, const Tensor& weight, const Tensor& bias,
                  Activation activation = Activation::none);
/// x * (1 + scale) + shift: scale and shift [groups, channels] where x's leading elements fall into `groups` equal runs.
Tensor modulate(const Tensor& x, const Tensor& shift, const Tensor& scale);
/// x * gate, gate [groups, channels] as in modulate.
Tensor gate(const Tensor& x, const Tensor& gate);
/// x [batch, tokens, heads, size]; cosines, sines [tokens, size / 2].
Tensor rotate(const Tensor& x, const Tensor& cosines, const Tensor& sines);
/// modulate(layer_norm(x, epsilon), shift, scale).
Tensor modulated_norm(const Tensor& x, float epsilon, const Tensor& shift, const Tensor& scale);
/// x + gate(branch, factor).
Tensor add_gated(const Tensor& x, const Tensor& branch, const Tensor& factor);
/// Self attention along the second axis of qkv [batch, tokens, beside, 3, heads, size] -> [batch, tokens, beside, heads, size], where `beside`
/// sequences lie between each other: queries and keys normalised with q_norm and k_norm [size] (both or none empty), then rotated by cosines
/// and sines [tokens, size / 2] (or empty).
Tensor packed_attention(const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm, float epsilon, const Tensor& cosines,
                        const Tensor& sines, float scale);
Tensor activate(const Tensor& x, Activation activation);
Tensor gather_rows(const Tensor& table, std::span<const int64_t> indices);

/// Whether all elements are finite numbers, as of now; the answer waits for the device when it is asked for.
inline std::function<bool()> all_finite(const Tensor& x) { return x.backend().all_finite(x.view()); }

Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
/// a * x + b * y.
Tensor combine(float a, const Tensor& x, float b, const Tensor& y);

/// axes[i] is the axis of x that becomes axis i.
Tensor permute(const Tensor& x, const std::vector<int>& axes);
/// Elements begin to end along an axis.
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end);
/// Elements begin to end along the first axis: in x's memory where they lie as devices want a tensor's to, at a multiple of 16 bytes, else a copy.
Tensor rows(const Tensor& x, int64_t begin, int64_t end);
Tensor concatenate(const std::vector<Tensor>& parts, int axis);
/// x cut along an axis into parts of these sizes, one behind the other: flat.
Tensor cut(const Tensor& x, int axis, std::span<const int64_t> sizes);
/// And back: parts of these sizes along an axis, which lie one behind the other in `flat`, put together to `shape`.
Tensor joined(const Tensor& flat, const Shape& shape, int axis, std::span<const int64_t> sizes);
/// Adds zeros along an axis, in front and behind.
Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after);
/// x `times` times in a row along an axis (whole copies one behind the other).
Tensor repeat(const Tensor& x, int axis, int64_t times);
/// x [batch, time, height, width, channels], every pixel twice along height and width.
Tensor upsample_nearest(const Tensor& x);

}  // namespace pyracast
