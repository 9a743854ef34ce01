#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>

#include "devices.hpp"

namespace pyracast {
namespace {

/// As it is published, a step at a time.
uint8_t expected(PixelRounding rounding, float x) {
  if (std::isnan(x)) return 0;
  if (rounding == PixelRounding::down) {
    const float shown = std::clamp(x / 2 + 0.5f, 0.f, 1.f);
    return uint8_t(shown * 255);
  }
  const volatile float product = (std::clamp(x, -1.f, 1.f) + 1) / 2 * 255;   // rounded before the sum
  return uint8_t(std::clamp(product + 0.5f, 0.f, 255.f));
}

/// Those at which something changes, with their neighbours, and others.
std::vector<float> values_to_round() {
  std::vector<float> values{NAN, -NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0.f, -0.f, FLT_MIN, -FLT_MIN, 1e-45f};
  const auto add_around = [&](float x) {
    for (float below = x, above = x, i = 0; i < 4; ++i, below = std::nextafter(below, -2.f), above = std::nextafter(above, 2.f))
      values.insert(values.end(), {below, above});
  };
  for (int pixel = -1; pixel <= 256; ++pixel) {
    add_around(float(2 * pixel / 255. - 1));         // a whole pixel
    add_around(float((2 * pixel + 1) / 255. - 1));   // halfway to the next
  }
  for (const float x : random_values(5000, 3)) values.push_back(x);
  return values;
}

std::vector<uint8_t> pixels_of(Backend& device, View x, PixelRounding rounding) {
  std::vector<uint8_t> pixels(size_t(x.size()), 77);
  DeviceArray out(device, x.shape, DType::uint8);
  device.to_pixels(x, rounding, out.view);
  device.download(out.view, pixels.data());
  return pixels;
}

TEST(Pixels, AreThePublishedOnesOfAnyValue) {
  for (const auto& device : test_devices())
    for (const DType dtype : {DType::float32, DType::bfloat16})
      for (const PixelRounding rounding : {PixelRounding::nearest, PixelRounding::down}) {
        std::vector<float> values = values_to_round();
        if (dtype == DType::bfloat16) values = rounded_to_bfloat16(values);
        const std::vector<uint8_t> pixels = pixels_of(*device, DeviceArray(*device, {int64_t(values.size())}, values, dtype).view, rounding);
        for (size_t i = 0; i < values.size(); ++i)
          ASSERT_EQ(pixels[i], expected(rounding, values[i])) << device->name() << ", " << name_of(dtype) << ", " << values[i] << " rounded "
                                                              << (rounding == PixelRounding::down ? "down" : "to nearest");
      }
}

TEST(Pixels, EndWhiteAndBlack) {
  for (const auto& device : test_devices())
    for (const PixelRounding rounding : {PixelRounding::nearest, PixelRounding::down}) {
      const std::vector<float> values{-1, 1, -1.5f, 1.5f, NAN};
      EXPECT_EQ(pixels_of(*device, DeviceArray(*device, {5}, values).view, rounding), (std::vector<uint8_t>{0, 255, 0, 255, 0})) << device->name();
    }
}

TEST(Pixels, OfAnyNumberAndPlaceStayInTheirBounds) {
  for (const auto& device : test_devices())
    for (const DType dtype : {DType::float32, DType::bfloat16})
      for (const int64_t size : {0, 1, 7, 8, 9, 257, 4096, 100'003})
        for (const int64_t skipped : {0, 1, 8}) {
          if (skipped > size) continue;
          std::vector<float> values = random_values(size, 4);
          if (dtype == DType::bfloat16) values = rounded_to_bfloat16(values);
          const DeviceArray all(*device, {size}, values, dtype), out(*device, {size + 16}, DType::uint8);
          const std::vector<uint8_t> before(size_t(size) + 16, 77);
          device->upload(before.data(), out.view);
          const View x{static_cast<char*>(all.view.data) + size_t(skipped) * size_of(dtype), dtype, {size - skipped}};
          device->to_pixels(x, PixelRounding::nearest, {static_cast<char*>(out.view.data) + skipped, DType::uint8, x.shape});
          std::vector<uint8_t> pixels(before.size()), wanted = before;
          device->download(out.view, pixels.data());
          for (size_t i = size_t(skipped); i < size_t(size); ++i) wanted[i] = expected(PixelRounding::nearest, values[i]);
          EXPECT_EQ(pixels, wanted) << device->name() << ", " << name_of(dtype) << ", " << size << " from " << skipped;
        }
}

}  // namespace
}  // namespace pyracast
