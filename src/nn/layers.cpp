#include "nn/layers.hpp"

#include <algorithm>
#include <cmath>

namespace pyracast {

Linear::Linear(const Weights& weights, int64_t in, int64_t out, bool has_bias)
    : weight_(weights.matrix("weight", out, in)), bias_(has_bias ? to_activations(weights.tensor("bias", {out})) : Tensor()) {}

Linear Linear::stacked(const Weights& weights, const std::vector<std::string>& names, int64_t in, int64_t out_each, const std::vector<int64_t>& order,
                       bool has_bias) {
  Linear all;
  std::vector<std::string> matrices;
  std::vector<Tensor> biases;
  for (const std::string& name : names) {
    matrices.push_back(name + ".weight");
    if (has_bias) biases.push_back(weights.tensor(name + ".bias", {out_each}));
  }
  all.weight_ = weights.stacked(matrices, out_each, in, order);
  if (!has_bias || std::any_of(biases.begin(), biases.end(), [](const Tensor& bias) { return bias.empty(); })) return all;
  const Tensor bias = concatenate(biases, 0);
  all.bias_ = to_activations(order.empty() ? bias : gather_rows(bias.reshape({bias.size(), 1}), order).reshape({bias.size()}));
  return all;
}

Tensor Linear::operator()(const Tensor& x, Activation activation) const { return linear(x, weight_, bias_, activation); }
Tensor Linear::added_to(const Residual& residual, const Tensor& x) const {
  return linear(x, weight_, bias_, Activation::none, residual);
}

Convolution::Convolution(const Weights& weights, int64_t in, int64_t out, ConvolutionGeometry geometry, int stored_axes,
                         bool has_bias)
    : geometry_(geometry) {
  Shape shape{out, in};
  for (int axis = 3 - stored_axes; axis < 3; ++axis) shape.push_back(geometry.kernel[axis]);
  weight_ = weights.kernel("weight", shape, geometry);
  if (has_bias) bias_ = to_activations(weights.tensor("bias", {out}));
}

ConvolutionGeometry same_2d(int64_t kernel) {
  const int64_t half = kernel / 2;
  return {.kernel = {1, kernel, kernel}, .pad_before = {0, half, half}, .pad_after = {0, half, half}};
}

GroupNorm::GroupNorm(const Weights& weights, int64_t channels, int64_t groups, float epsilon)
    : weight_(weights.tensor("weight", {channels})), bias_(weights.tensor("bias", {channels})), groups_(groups),
      epsilon_(epsilon) {}

Tensor sinusoidal_embedding(Backend& backend, const std::vector<float>& values, int64_t size) {
  const int64_t half = size / 2;
  std::vector<float> out;
  out.reserve(values.size() * size_t(size));
  for (const float value : values) {
    const auto angle = [&](int64_t k) { return value * std::exp(-std::log(10000.f) * float(k) / float(half)); };
    for (int64_t k = 0; k < half; ++k) out.push_back(std::cos(angle(k)));
    for (int64_t k = 0; k < half; ++k) out.push_back(std::sin(angle(k)));
  }
  return Tensor(backend, {int64_t(values.size()), size}, out);
}

namespace {
constexpr int64_t scalar_embedding_size = 256;
}

ScalarEmbedder::ScalarEmbedder(const Weights& weights, int64_t hidden)
    : backend_(&weights.backend()), first_(weights / "mlp" / 0, scalar_embedding_size, hidden),
      second_(weights / "mlp" / 2, hidden, hidden) {}

Tensor ScalarEmbedder::operator()(const std::vector<float>& values) const {
  return second_(first_(sinusoidal_embedding(*backend_, values, scalar_embedding_size), Activation::silu));
}

RotaryTable rotary_table(Backend& backend, const std::vector<std::vector<double>>& coordinates, int64_t head_size) {
  const int64_t parts = int64_t(coordinates.size()), part = head_size / parts, tokens = int64_t(coordinates.front().size());
  require(head_size % (2 * parts) == 0, "a rotary embedding of ", parts, " coordinates needs a head size that is a multiple of ", 2 * parts,
          ", and it is ", head_size);
  std::vector<float> cosines, sines;
  for (int64_t token = 0; token < tokens; ++token)
    for (const std::vector<double>& coordinate : coordinates)
      for (int64_t i = 0; i < part / 2; ++i) {
        const double angle = coordinate[size_t(token)] * std::pow(10000.0, -2.0 * double(i) / double(part));
        cosines.push_back(float(std::cos(angle)));
        sines.push_back(float(std::sin(angle)));
      }
  const Shape shape{tokens, head_size / 2};
  return {Tensor(backend, shape, cosines), Tensor(backend, shape, sines)};
}

std::vector<int64_t> halves_paired(int64_t heads, int64_t size, int64_t parts) {
  const int64_t half = size / parts / 2;
  std::vector<int64_t> order;
  for (int64_t part = 0; part < heads * parts; ++part)
    for (int64_t i = 0; i < half; ++i)
      for (const int64_t second : {0, 1}) order.push_back((2 * part + second) * half + i);
  return order;
}

RotaryTable rotary_table(Backend& backend, int64_t tokens, const std::vector<float>& frequencies) {
  std::vector<float> cosines, sines;
  for (int64_t token = 0; token < tokens; ++token)
    for (const float frequency : frequencies) {
      cosines.push_back(std::cos(float(token) * frequency));
      sines.push_back(std::sin(float(token) * frequency));
    }
  const Shape shape{tokens, int64_t(frequencies.size())};
  return {Tensor(backend, shape, cosines), Tensor(backend, shape, sines)};
}

}  // namespace pyracast
