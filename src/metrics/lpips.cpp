#include "metrics/lpips.hpp"

#include <algorithm>
#include <cmath>

namespace pyracast {

namespace {

/// One axis of torch's bilinear interpolation (align_corners false): position i lies between `low` and `low + 1`.
struct Between {
  int64_t low = 0, high = 0;
  double share = 0;   // of high
};

std::vector<Between> enlarged_axis(int64_t from, int64_t to) {
  std::vector<Between> out;
  for (int64_t i = 0; i < to; ++i) {
    const double at = std::max(0.0, (double(i) + 0.5) * double(from) / double(to) - 0.5);
    const int64_t low = std::min(int64_t(at), from - 1);
    out.push_back({low, std::min(low + 1, from - 1), at - double(low)});
  }
  return out;
}

/// Squared differences of features [channels, positions] of length one, weighted by channel: [positions].
std::vector<double> difference(const float* a, const float* b, int64_t positions, const std::vector<float>& weights) {
  std::vector<double> out(static_cast<size_t>(positions));
  for (int64_t p = 0; p < positions; ++p) {
    double length_a = 0, length_b = 0;
    for (size_t c = 0; c < weights.size(); ++c) {
      const size_t i = c * size_t(positions) + size_t(p);
      length_a += double(a[i]) * a[i];
      length_b += double(b[i]) * b[i];
    }
    length_a = std::sqrt(length_a) + 1e-10;
    length_b = std::sqrt(length_b) + 1e-10;
    for (size_t c = 0; c < weights.size(); ++c) {
      const size_t i = c * size_t(positions) + size_t(p);
      const double d = a[i] / length_a - b[i] / length_b;
      out[size_t(p)] += weights[c] * d * d;
    }
  }
  return out;
}

/// The largest of each window of size x size, every second one: x [batch, 1, height, width, channels].
Tensor max_pool(const Tensor& x, int64_t size) {
  const int64_t batch = x.dim(0), height = x.dim(2), width = x.dim(3), channels = x.dim(4);
  const int64_t out_height = (height - size) / 2 + 1, out_width = (width - size) / 2 + 1;
  const std::vector<float> in = x.to_host();
  std::vector<float> out(size_t(batch * out_height * out_width * channels), -INFINITY);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t y = 0; y < out_height; ++y)
      for (int64_t col = 0; col < out_width; ++col)
        for (int64_t i = 0; i < size * size; ++i) {
          const float* from = in.data() + ((b * height + 2 * y + i / size) * width + 2 * col + i % size) * channels;
          float* to = out.data() + ((b * out_height + y) * out_width + col) * channels;
          for (int64_t c = 0; c < channels; ++c) to[c] = std::max(to[c], from[c]);
        }
  return Tensor(x.backend(), {batch, 1, out_height, out_width, channels}, out);
}

/// A convolution of torchvision's `features`, by its index there.
struct Layer {
  int index;
  int64_t channels, kernel, stride, padding;
};
struct Backbone {
  const char* name;
  int64_t pool_size;
  std::vector<std::vector<Layer>> stages;   // windows are pooled between two stages, but for AlexNet's last three
  std::vector<bool> pooled;
};

const std::vector<Backbone>& backbones() {
  static const std::vector<Backbone> all{
      {"AlexNet", 3, {{{0, 64, 11, 4, 2}}, {{3, 192, 5, 1, 2}}, {{6, 384, 3, 1, 1}}, {{8, 256, 3, 1, 1}}, {{10, 256, 3, 1, 1}}},
       {false, true, true, false, false}},
      {"VGG16", 2,
       {{{0, 64, 3, 1, 1}, {2, 64, 3, 1, 1}}, {{5, 128, 3, 1, 1}, {7, 128, 3, 1, 1}},
        {{10, 256, 3, 1, 1}, {12, 256, 3, 1, 1}, {14, 256, 3, 1, 1}}, {{17, 512, 3, 1, 1}, {19, 512, 3, 1, 1}, {21, 512, 3, 1, 1}},
        {{24, 512, 3, 1, 1}, {26, 512, 3, 1, 1}, {28, 512, 3, 1, 1}}},
       {false, true, true, true, true}}};
  return all;
}

const Backbone& backbone_of(const Weights& weights) {
  for (const Backbone& backbone : backbones()) {
    const std::string last = concat("features.", backbone.stages.back().back().index, ".weight");
    const bool longer = &backbone == &backbones().front() && weights.has("features.28.weight");
    if (weights.has(last) && !longer) return backbone;
  }
  fail("the backbone of LPIPS holds neither AlexNet's weights (features.10.weight last) nor VGG16's (features.28.weight): "
       "expected torchvision's state dict of one of them");
}

std::vector<int64_t> channels_of(const Backbone& backbone) {
  std::vector<int64_t> channels;
  for (const auto& stage : backbone.stages) channels.push_back(stage.back().channels);
  return channels;
}

}  // namespace

Tensor lpips_scaled(const Tensor& pictures) {
  constexpr float shift[] = {-0.030f, -0.088f, -0.188f}, scale[] = {0.458f, 0.448f, 0.450f};
  require(pictures.axes() == 4 && pictures.dim(1) == 3, "LPIPS: pictures are ", pictures.shape(), ", expected [batch, 3, height, width]");
  std::vector<float> values = pictures.to_host();
  const size_t plane = size_t(pictures.dim(2) * pictures.dim(3));
  for (size_t i = 0; i < values.size(); ++i) values[i] = (values[i] - shift[i / plane % 3]) / scale[i / plane % 3];
  return Tensor(pictures.backend(), pictures.shape(), values);
}

LpipsHeads::LpipsHeads(const Weights& weights, std::vector<int64_t> channels) {
  for (size_t layer = 0; layer < channels.size(); ++layer) {
    const Tensor weight = weights.tensor(concat("lin", layer, ".model.1.weight"), {1, channels[layer], 1, 1});
    weights_.push_back(weight.empty() ? std::vector<float>() : weight.to_host());
  }
}

LpipsHeads::Distance LpipsHeads::operator()(const std::vector<Tensor>& a, const std::vector<Tensor>& b, int64_t height,
                                            int64_t width) const {
  require(a.size() == weights_.size() && b.size() == weights_.size(), "LPIPS: ", a.size(), " and ", b.size(), " layers of features, expected ",
          weights_.size());
  const int64_t batch = a.front().dim(0);
  Distance distance;
  distance.maps.assign(size_t(batch), std::vector<float>(size_t(height * width), 0));
  distance.means.assign(size_t(batch), 0);
  for (size_t layer = 0; layer < a.size(); ++layer) {
    require(a[layer].shape() == b[layer].shape() && a[layer].axes() == 4 && a[layer].dim(0) == batch &&
                a[layer].dim(1) == int64_t(weights_[layer].size()),
            "LPIPS: features of layer ", layer, " are ", a[layer].shape(), " and ", b[layer].shape(), ", expected [", batch, ", ",
            weights_[layer].size(), ", height, width] twice");
    const int64_t rows = a[layer].dim(2), columns = a[layer].dim(3), size = a[layer].dim(1) * rows * columns;
    const std::vector<float> of_a = a[layer].to_host(), of_b = b[layer].to_host();
    const auto down = enlarged_axis(rows, height), across = enlarged_axis(columns, width);
    auto& means = distance.layers.emplace_back();
    for (int64_t n = 0; n < batch; ++n) {
      const std::vector<double> small = difference(of_a.data() + n * size, of_b.data() + n * size, rows * columns, weights_[layer]);
      double sum = 0;
      for (int64_t y = 0; y < height; ++y)
        for (int64_t x = 0; x < width; ++x) {
          const Between &v = down[size_t(y)], &h = across[size_t(x)];
          const auto at = [&](int64_t row, int64_t column) { return small[size_t(row * columns + column)]; };
          const double value = (1 - v.share) * ((1 - h.share) * at(v.low, h.low) + h.share * at(v.low, h.high)) +
                               v.share * ((1 - h.share) * at(v.high, h.low) + h.share * at(v.high, h.high));
          distance.maps[size_t(n)][size_t(y * width + x)] += float(value);
          sum += value;
        }
      means.push_back(sum / double(height * width));
      distance.means[size_t(n)] += means.back();
    }
  }
  return distance;
}

Lpips::Lpips(const Weights& backbone, const Weights& heads)
    : name_(backbone_of(backbone).name), heads_(heads, channels_of(backbone_of(backbone))) {
  const Backbone& published = backbone_of(backbone);
  int64_t channels = 3;
  for (size_t i = 0; i < published.stages.size(); ++i) {
    Stage& stage = stages_.emplace_back();
    stage.pooled = published.pooled[i];
    stage.pool_size = published.pool_size;
    for (const Layer& layer : published.stages[i]) {
      stage.convolutions.emplace_back(backbone / "features" / layer.index, channels, layer.channels,
                                      ConvolutionGeometry{.kernel = {1, layer.kernel, layer.kernel},
                                                          .stride = {1, layer.stride, layer.stride},
                                                          .pad_before = {0, layer.padding, layer.padding},
                                                          .pad_after = {0, layer.padding, layer.padding}}, 2);
      channels = layer.channels;
    }
  }
}

std::vector<Tensor> Lpips::features(const Tensor& pictures) const {
  const int64_t batch = pictures.dim(0);
  Tensor x = permute(pictures, {0, 2, 3, 1}).reshape({batch, 1, pictures.dim(2), pictures.dim(3), 3});
  std::vector<Tensor> out;
  for (const Stage& stage : stages_) {
    if (stage.pooled) x = max_pool(x, stage.pool_size);
    for (const Convolution& convolution : stage.convolutions) x = activate(convolution(x), Activation::relu);
    out.push_back(permute(x.reshape({batch, x.dim(2), x.dim(3), x.dim(4)}), {0, 3, 1, 2}));
  }
  return out;
}

std::vector<double> Lpips::operator()(const Tensor& a, const Tensor& b) const {
  require(a.shape() == b.shape(), "LPIPS: pictures are ", a.shape(), " and ", b.shape(), ": they must be of one size");
  require(a.axes() == 4 && a.dim(2) >= lpips_smallest && a.dim(3) >= lpips_smallest, "LPIPS: pictures are ", a.shape(),
          ", expected [batch, 3, height, width] of at least ", lpips_smallest, " x ", lpips_smallest, " pixels");
  return heads_(features(lpips_scaled(a)), features(lpips_scaled(b)), a.dim(2), a.dim(3)).means;
}

}  // namespace pyracast
