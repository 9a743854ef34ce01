// A GPU's operations on bfloat16 activations: those on the same numbers in float32, rounded once at the end.
#include <gtest/gtest.h>

#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

/// Each operation with activations of a type, on inputs that bfloat16 holds exactly.
class Activations {
 public:
  Activations(Backend& device, DType type) : device_(device), type_(type) {}

  template <class F>
  std::vector<float> of(const Shape& out_shape, F operation) const {
    const DeviceArray out(device_, out_shape, type_);
    operation(out.view);
    return out.values();
  }
  DeviceArray x(const Shape& shape, unsigned seed) const { return {device_, shape, rounded_to_bfloat16(random_values(count(shape), seed)), type_}; }
  DeviceArray factors(const Shape& shape, unsigned seed) const { return {device_, shape, random_values(count(shape), seed)}; }

 private:
  Backend& device_;
  DType type_;
  static int64_t count(const Shape& shape) { return View{nullptr, DType::float32, shape}.size(); }
};

/// Runs `test(device, activations)` in both types on a GPU; the results may differ by one rounding.
template <class Test>
void expect_rounded_once(const char* what, Test test) {
  const TestGpu gpu(CudaPrecision::bfloat16);
  if (!gpu.backend) GTEST_SKIP() << gpu.absence;
  const std::vector<float> wide = test(*gpu.backend, Activations(*gpu.backend, DType::float32));
  const std::vector<float> narrow = test(*gpu.backend, Activations(*gpu.backend, DType::bfloat16));
  ASSERT_EQ(wide.size(), narrow.size());
  // Sums of other packs may differ in float32's last bits, which may round to the next bfloat16.
  for (size_t i = 0; i < wide.size(); ++i) {
    ASSERT_EQ(narrow[i], round_to_bfloat16(narrow[i]));
    ASSERT_LE(std::abs(narrow[i] - wide[i]), std::abs(wide[i]) * 0.00392f + 1e-6f) << what << ", element " << i;
  }
}

TEST(Bfloat16Activations, OfEachElement) {
  for (const int64_t channels : {64, 72, 33}) {   // in whole packs, and not
    const Shape shape{2, 9, channels}, by_group{2, channels};
    const auto test = [&](const char* what, auto operation) {
      expect_rounded_once(what, [&](Backend& device, const Activations& a) {
        const DeviceArray x = a.x(shape, 1), y = a.x(shape, 2), shift = a.factors(by_group, 3), scale = a.factors(by_group, 4);
        return a.of(shape, [&](View out) { operation(device, x.view, y.view, shift.view, scale.view, out); });
      });
    };
    test("activate", [](Backend& device, View x, View, View, View, View out) { device.activate(x, Activation::silu, out); });
    test("add", [](Backend& device, View x, View y, View, View, View out) { device.add(x, y, out); });
    test("multiply", [](Backend& device, View x, View y, View, View, View out) { device.multiply(x, y, out); });
    test("combine", [](Backend& device, View x, View y, View, View, View out) { device.combine(0.25f, x, 0.75f, y, out); });
    test("modulate", [](Backend& device, View x, View, View shift, View scale, View out) { device.modulate(x, shift, scale, out); });
    test("gate", [](Backend& device, View x, View, View, View scale, View out) { device.gate(x, scale, out); });
    test("add_gated", [](Backend& device, View x, View y, View, View scale, View out) { device.add_gated(x, y, scale, out); });
    test("modulated_norm",
         [](Backend& device, View x, View, View shift, View scale, View out) { device.modulated_norm(x, 1e-6f, shift, scale, out); });
    test("layer_norm", [](Backend& device, View x, View, View, View, View out) { device.layer_norm(x, 1e-6f, nullptr, nullptr, out); });
    test("fill", [](Backend& device, View, View, View, View, View out) { device.fill(out, 0.3f); });
  }
}

TEST(Bfloat16Activations, OfWholeRows) {
  for (const int64_t channels : {96, 72, 36}) {
    const Shape shape{2, 70, channels}, weights{channels};
    expect_rounded_once("layer_norm", [&](Backend& device, const Activations& a) {
      const DeviceArray x = a.x(shape, 1), weight = a.factors(weights, 2), bias = a.factors(weights, 3);
      return a.of(shape, [&](View out) { device.layer_norm(x.view, 1e-5f, &weight.view, &bias.view, out); });
    });
    expect_rounded_once("rms_norm", [&](Backend& device, const Activations& a) {
      const DeviceArray x = a.x(shape, 1), weight = a.factors(weights, 2);
      return a.of(shape, [&](View out) { device.rms_norm(x.view, 1e-5f, weight.view, out); });
    });
    expect_rounded_once("group_norm", [&](Backend& device, const Activations& a) {
      const DeviceArray x = a.x(shape, 1), weight = a.factors(weights, 2), bias = a.factors(weights, 3);
      return a.of(shape, [&](View out) { device.group_norm(x.view, 4, 1e-5f, weight.view, bias.view, Activation::silu, out); });
    });
  }
}

TEST(Bfloat16Activations, OfRotatedHeads) {
  const Shape shape{2, 5, 3, 24};
  expect_rounded_once("rotate", [&](Backend& device, const Activations& a) {
    const DeviceArray x = a.x(shape, 1), cosines = a.factors({5, 12}, 2), sines = a.factors({5, 12}, 3);
    return a.of(shape, [&](View out) { device.rotate(x.view, cosines.view, sines.view, out); });
  });
}

TEST(Bfloat16Activations, OfProducts) {
  expect_rounded_once("linear", [&](Backend& device, const Activations& a) {
    const DeviceArray x = a.x({9, 40}, 1), weight = a.factors({24, 40}, 2), bias = a.x({24}, 3);
    return a.of({9, 24}, [&](View out) { device.linear(x.view, device.pack_exactly(weight.view), &bias.view, Activation::relu, out); });
  });
  const ConvolutionGeometry geometry{.kernel = {3, 3, 3}, .stride = {1, 2, 1}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}};
  for (const int64_t channels : {16, 5})
    expect_rounded_once("convolution", [&](Backend& device, const Activations& a) {
      const DeviceArray x = a.x({2, 5, 6, 7, channels}, 1), weight = a.factors({24, 27 * channels}, 2), bias = a.x({24}, 3);
      return a.of({2, 5, 3, 7, 24}, [&](View out) { device.convolution(x.view, device.pack_exactly(weight.view), &bias.view, geometry, out); });
    });
}

// A VAE's attention: weights are rounded to bfloat16 on the way, and some are zeros that make rows whole.
TEST(Bfloat16Activations, OfAttentionOfOneWideHead) {
  const TestGpu gpu(CudaPrecision::bfloat16);
  if (!gpu.backend) GTEST_SKIP() << gpu.absence;
  const int64_t batch = 2, size = 256;
  for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{9, 21}, {5, 1}, {3, 600}, {16, 64}}) {
    const Shape of_queries{batch, queries, 1, size}, of_keys{batch, keys, 1, size};
    const auto q = rounded_to_bfloat16(random_values(batch * queries * size, 1)), k = rounded_to_bfloat16(random_values(batch * keys * size, 2)),
               v = rounded_to_bfloat16(random_values(batch * keys * size, 3));
    const auto attend = [&](Backend& device, DType type) {
      const DeviceArray out(device, of_queries, type);
      device.attention(DeviceArray(device, of_queries, q, type).view, DeviceArray(device, of_keys, k, type).view,
                       DeviceArray(device, of_keys, v, type).view, 0.1f, nullptr, {}, out.view);
      return out.values();
    };
    const auto expected = attend(*make_cpu_backend(), DType::float32), found = attend(*gpu.backend, DType::bfloat16);
    for (size_t i = 0; i < found.size(); ++i)   // v is about 1: each weight errs by 2^-9, and so does the result
      ASSERT_LE(std::abs(found[i] - expected[i]), 0x1p-8f * (std::abs(expected[i]) + 1)) << queries << " queries, " << keys << " keys, element " << i;
  }
}

TEST(Bfloat16Activations, AreConvertedToNearestEven) {
  const TestGpu gpu(CudaPrecision::bfloat16);
  std::vector<std::shared_ptr<Backend>> devices{make_cpu_backend(CpuIsa::portable)};
  if (gpu.backend) devices.push_back(gpu.backend);
  for (const auto& device : devices)
    for (const int64_t count : {256, 37}) {
      const auto values = random_values(count, 1);
      const DeviceArray wide(*device, {count}, values), narrow(*device, {count}, DType::bfloat16), back(*device, {count});
      device->convert(wide.view, narrow.view);
      EXPECT_EQ(narrow.values(), rounded_to_bfloat16(values)) << device->name();
      device->convert(narrow.view, back.view);
      EXPECT_EQ(back.values(), rounded_to_bfloat16(values)) << device->name();
    }
}

}  // namespace
}  // namespace pyracast
