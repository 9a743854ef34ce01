#include "metrics/lpips.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pyracast {
namespace {

Tensor pictures(Backend& backend, int64_t batch, int64_t height, int64_t width, int seed) {
  std::vector<float> values(size_t(batch * 3 * height * width));
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(int((i * 7919 + size_t(seed) * 104729) % 2001) - 1000) / 1000;
  return Tensor(backend, {batch, 3, height, width}, values);
}

/// A file of zeros with these names and shapes.
Weights of_shapes(Backend& backend, const std::vector<std::pair<std::string, Shape>>& shapes) {
  static const std::vector<float> zeros(4000000);
  StoredTensors stored;
  for (const auto& [name, shape] : shapes)
    stored[name] = {DType::float32, shape, std::as_bytes(std::span(zeros)).first(size_t(size_of(shape)) * 4), nullptr, "test"};
  return Weights(backend, std::move(stored), {}, "test");
}

TEST(Lpips, HasAlexNetsLayers) {
  const auto backend = make_cpu_backend();
  const auto weights = of_shapes(*backend, {{"features.0.weight", {64, 3, 11, 11}}, {"features.0.bias", {64}},
                                            {"features.3.weight", {192, 64, 5, 5}}, {"features.3.bias", {192}},
                                            {"features.6.weight", {384, 192, 3, 3}}, {"features.6.bias", {384}},
                                            {"features.8.weight", {256, 384, 3, 3}}, {"features.8.bias", {256}},
                                            {"features.10.weight", {256, 256, 3, 3}}, {"features.10.bias", {256}}});
  const Lpips lpips(weights, Weights::random(*backend, {DType::float32}));
  weights.finish();
  EXPECT_EQ(lpips.backbone(), "AlexNet");
  std::vector<Shape> shapes;
  for (const Tensor& layer : lpips.features(pictures(*backend, 2, 64, 80, 1))) shapes.push_back(layer.shape());
  EXPECT_EQ(shapes, (std::vector<Shape>{{2, 64, 15, 19}, {2, 192, 7, 9}, {2, 384, 3, 4}, {2, 256, 3, 4}, {2, 256, 3, 4}}));
}

TEST(Lpips, OfOtherWeightsIsRefused) {
  const auto backend = make_cpu_backend();
  const auto weights = of_shapes(*backend, {{"layer1.0.conv1.weight", {64, 64, 3, 3}}});
  EXPECT_THAT([&] { Lpips(weights, weights); }, testing::ThrowsMessage<Error>(testing::HasSubstr("neither AlexNet's")));
}

TEST(Lpips, OfAPictureAndItselfIsNothingAndOfAnotherIsNot) {
  const auto backend = make_cpu_backend();
  const Weights random = Weights::random(*backend, {DType::float32});
  const Lpips lpips(random, random);
  EXPECT_EQ(lpips.backbone(), "VGG16");
  const Tensor a = pictures(*backend, 1, 64, 64, 1), b = pictures(*backend, 1, 64, 64, 2);
  EXPECT_EQ(lpips(a, a), std::vector<double>{0});
  EXPECT_NE(lpips(a, b), std::vector<double>{0});
  EXPECT_THAT([&] { lpips(pictures(*backend, 1, 62, 64, 1), pictures(*backend, 1, 62, 64, 2)); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("at least 63 x 63")));
}

}  // namespace
}  // namespace pyracast
