#include <cmath>

#include "metrics/lpips.hpp"
#include "metrics/picture_quality.hpp"
#include "parity/components.hpp"

namespace pyracast {

namespace {

/// [videos][times] numbers: their means and deviations over videos, and the mean of the means.
void add_over_videos(Results& results, const std::string& name, const std::vector<std::vector<double>>& numbers) {
  std::vector<float> means, deviations;
  double mean_of_means = 0;
  const size_t videos = numbers.size(), times = numbers.front().size();
  for (size_t t = 0; t < times; ++t) {
    double sum = 0, squares = 0;
    for (size_t v = 0; v < videos; ++v) sum += numbers[v][t];
    const double mean = sum / double(videos);
    for (size_t v = 0; v < videos; ++v) squares += (numbers[v][t] - mean) * (numbers[v][t] - mean);
    means.push_back(float(mean));
    deviations.push_back(float(std::sqrt(squares / double(videos))));
    mean_of_means += mean / double(times);
  }
  results.add(name, {int64_t(times)}, means);
  results.add(name + "_std", {int64_t(times)}, deviations);
  results.add(name + "_mean", {1}, {float(mean_of_means)});
}

}  // namespace

void run_metrics_psnr_ssim(const Case& c, Results& results) {
  const Shape shape = c.input_shape("videos1");
  const std::vector<float> a = c.input_floats("videos1"), b = c.input_floats("videos2");
  const int64_t plane = shape[2] * shape[3] * shape[4];
  const auto frame = [&](const std::vector<float>& of, int64_t i) {
    return Planes{shape[2], shape[3], shape[4], {of.begin() + i * plane, of.begin() + (i + 1) * plane}};
  };
  std::vector<std::vector<double>> noise, similarity;
  for (int64_t video = 0; video < shape[0]; ++video) {
    noise.emplace_back();
    similarity.emplace_back();
    for (int64_t t = 0; t < shape[1]; ++t) {
      const Planes one = frame(a, video * shape[1] + t), other = frame(b, video * shape[1] + t);
      noise.back().push_back(psnr(one, other));
      similarity.back().push_back(ssim(one, other));
    }
  }
  add_over_videos(results, "psnr", noise);
  add_over_videos(results, "ssim", similarity);
}

void run_metrics_lpips(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  const auto channels = value<std::vector<int64_t>>(c.call(), "channels", c.where());
  const auto size = value<std::vector<int64_t>>(c.call(), "image_size", c.where());
  const LpipsHeads heads(weights, channels);
  weights.finish();
  results.add("scaled_image", lpips_scaled(c.input("image")));
  std::vector<Tensor> a, b;
  for (size_t layer = 0; layer < channels.size(); ++layer) {
    a.push_back(c.input(concat("feat1.", layer)));
    b.push_back(c.input(concat("feat2.", layer)));
  }
  const LpipsHeads::Distance distance = heads(a, b, size.at(0), size.at(1));
  const int64_t batch = int64_t(distance.means.size());
  for (size_t layer = 0; layer < channels.size(); ++layer)
    results.add(concat("layer", layer), {batch}, {distance.layers[layer].begin(), distance.layers[layer].end()});
  std::vector<float> maps;
  for (const auto& map : distance.maps) maps.insert(maps.end(), map.begin(), map.end());
  results.add("map", {batch, 1, size.at(0), size.at(1)}, maps);
  results.add("mean_per_image", {batch}, {distance.means.begin(), distance.means.end()});
}

}  // namespace pyracast
