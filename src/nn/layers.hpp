#pragma once
// The boxes that several networks are made of. Each takes its weights by the published names.
#include "nn/weights.hpp"
#include "tensor/ops.hpp"

namespace pyracast {

/// x weight^T + bias; keys `weight`, `bias`.
class Linear {
 public:
  Linear() = default;
  Linear(const Weights& weights, int64_t in, int64_t out, bool has_bias = true);
  /// Linears of the same x with `out_each` outputs as one, whose outputs come one linear's behind another's, in this order (empty: as stored).
  static Linear stacked(const Weights& weights, const std::vector<std::string>& names, int64_t in, int64_t out_each,
                        const std::vector<int64_t>& order, bool has_bias);
  Tensor operator()(const Tensor& x, Activation activation = Activation::none) const;
  /// (*this)(x), added to the residual.
  Tensor added_to(const Residual& residual, const Tensor& x) const;

 private:
  PackedWeights weight_;
  Tensor bias_;
};

/// Two linears with an activation between them.
struct Mlp {
  Linear first, second;
  Activation activation = Activation::gelu_tanh;
  Tensor operator()(const Tensor& x) const { return added_to({}, x); }
  Tensor added_to(const Residual& residual, const Tensor& x) const { return second.added_to(residual, first(x, activation)); }
};

/// A convolution over x [batch, time, height, width, channels]. A kernel of time 1 may be stored with two or three
/// kernel axes. Keys `weight`, `bias`.
class Convolution {
 public:
  Convolution() = default;
  /// `stored_axes` is the number of kernel axes in the file: 2 (height, width) or 3.
  Convolution(const Weights& weights, int64_t in, int64_t out, ConvolutionGeometry geometry, int stored_axes,
              bool has_bias = true);
  Tensor operator()(const Tensor& x) const { return convolution(x, weight_, bias_, geometry_); }
  /// residual + (*this)(x).
  Tensor added_to(const Tensor& residual, const Tensor& x) const { return convolution(x, weight_, bias_, geometry_, residual); }

 private:
  PackedWeights weight_;
  Tensor bias_;
  ConvolutionGeometry geometry_;
};

/// A square kernel of this size over height and width, zeros all around so that the size stays.
ConvolutionGeometry same_2d(int64_t kernel);

/// Group normalisation over (time, height, width, channels of a group); keys `weight`, `bias`.
class GroupNorm {
 public:
  GroupNorm() = default;
  GroupNorm(const Weights& weights, int64_t channels, int64_t groups, float epsilon);
  Tensor operator()(const Tensor& x, Activation activation = Activation::none) const {
    return group_norm(x, groups_, epsilon_, weight_, bias_, activation);
  }

 private:
  Tensor weight_, bias_;
  int64_t groups_ = 0;
  float epsilon_ = 0;
};

/// [cos(v f_k) | sin(v f_k)], f_k = exp(-ln(10000) k / (size / 2)): the embedding of timesteps and of scalar
/// conditions; returns [values, size].
Tensor sinusoidal_embedding(Backend& backend, const std::vector<float>& values, int64_t size);

/// sinusoidal_embedding (256 wide) -> Linear -> SiLU -> Linear; keys `mlp.0`, `mlp.2`.
class ScalarEmbedder {
 public:
  ScalarEmbedder() = default;
  ScalarEmbedder(const Weights& weights, int64_t hidden);
  /// [values, hidden]
  Tensor operator()(const std::vector<float>& values) const;

 private:
  Backend* backend_ = nullptr;
  Linear first_, second_;
};

/// Cosines and sines of a rotary embedding, [tokens, size / 2] each.
struct RotaryTable {
  Tensor cosines, sines;
};

/// angle(token, i) = token * frequencies[i].
RotaryTable rotary_table(Backend& backend, int64_t tokens, const std::vector<float>& frequencies);

/// Each head is cut into as many equal parts as a token has coordinates, and part c turns by
/// angle(token, i) = coordinates[c][token] * 10000^(-2i / part size).
RotaryTable rotary_table(Backend& backend, const std::vector<std::vector<double>>& coordinates, int64_t head_size);

/// The order of the channels of `heads` heads of queries and keys, in which rotate(), which turns channels 2i and 2i + 1, turns what is
/// written as pairs of the first and the second half of each of `parts` parts of a head.
std::vector<int64_t> halves_paired(int64_t heads, int64_t size, int64_t parts);

}  // namespace pyracast
