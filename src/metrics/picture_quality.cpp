#include "metrics/picture_quality.hpp"

#include <cmath>

#include "base/error.hpp"

namespace pyracast {

namespace {

constexpr int64_t window = ssim_window;

void check_sizes(const Planes& a, const Planes& b) {
  require(a.channels == b.channels && a.height == b.height && a.width == b.width && a.channels > 0 && a.values.size() == b.values.size() &&
              int64_t(a.values.size()) == a.channels * a.height * a.width && !a.values.empty(),
          "pictures of ", a.channels, " x ", a.height, " x ", a.width, " and ", b.channels, " x ", b.height, " x ", b.width,
          " (", a.values.size(), " and ", b.values.size(), " values) cannot be compared: they must be of one size");
}

std::vector<double> gaussian() {
  std::vector<double> weights;
  double sum = 0;
  for (int64_t i = 0; i < window; ++i) {
    const double x = double(i - window / 2) / 1.5;
    weights.push_back(std::exp(-x * x / 2));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// Weighted means of `plane` [height, width] under the window, [height - 10, width - 10]: along rows, then along columns.
std::vector<double> blurred(const std::vector<double>& plane, int64_t height, int64_t width) {
  static const std::vector<double> weights = gaussian();
  const int64_t out_height = height - window + 1, out_width = width - window + 1;
  std::vector<double> rows(size_t(height * out_width), 0), out(size_t(out_height * out_width), 0);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < out_width; ++x)
      for (int64_t i = 0; i < window; ++i) rows[size_t(y * out_width + x)] += weights[size_t(i)] * plane[size_t(y * width + x + i)];
  for (int64_t y = 0; y < out_height; ++y)
    for (int64_t i = 0; i < window; ++i)
      for (int64_t x = 0; x < out_width; ++x) out[size_t(y * out_width + x)] += weights[size_t(i)] * rows[size_t((y + i) * out_width + x)];
  return out;
}

}  // namespace

double psnr(const Planes& a, const Planes& b) {
  check_sizes(a, b);
  double sum = 0;
  for (size_t i = 0; i < a.values.size(); ++i) sum += (double(a.values[i]) - b.values[i]) * (double(a.values[i]) - b.values[i]);
  const double mean = sum / double(a.values.size());
  return mean < 1e-10 ? 100 : 10 * std::log10(1 / mean);
}

double ssim(const Planes& a, const Planes& b) {
  check_sizes(a, b);
  require(a.height >= window && a.width >= window, "SSIM of a picture of ", a.height, " x ", a.width, ": its window is ", window, " x ",
          window, ", and the picture must hold it");
  constexpr double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
  const int64_t size = a.height * a.width;
  double sum = 0;
  int64_t positions = 0;
  for (int64_t c = 0; c < a.channels; ++c) {
    const float *from_a = a.values.data() + c * size, *from_b = b.values.data() + c * size;
    std::vector<double> product(static_cast<size_t>(size));
    const auto mean_of = [&](const float* x, const float* y) {   // of x * y; of x alone without y
      for (int64_t i = 0; i < size; ++i) product[size_t(i)] = y ? double(x[i]) * y[i] : x[i];
      return blurred(product, a.height, a.width);
    };
    const auto mean_a = mean_of(from_a, nullptr), mean_b = mean_of(from_b, nullptr), mean_aa = mean_of(from_a, from_a),
               mean_bb = mean_of(from_b, from_b), mean_ab = mean_of(from_a, from_b);
    for (size_t i = 0; i < mean_a.size(); ++i) {
      const double aa = mean_a[i] * mean_a[i], bb = mean_b[i] * mean_b[i], ab = mean_a[i] * mean_b[i];
      sum += (2 * ab + c1) * (2 * (mean_ab[i] - ab) + c2) / ((aa + bb + c1) * (mean_aa[i] - aa + mean_bb[i] - bb + c2));
    }
    positions += int64_t(mean_a.size());
  }
  return sum / double(positions);
}

}  // namespace pyracast
