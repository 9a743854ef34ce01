#include "nn/weights.hpp"

#include <gmock/gmock.h>

#include "nn/layers.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

StoredTensor stored(Shape shape, const std::vector<float>& values) {
  auto owner = std::make_shared<std::vector<float>>(values);
  return {DType::float32, std::move(shape), std::as_bytes(std::span(*owner)), owner, "test"};
}

class WeightsTest : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend = make_cpu_backend();
};

TEST_F(WeightsTest, FinishListsWhatIsMissingMisshapenAndLeftOver) {
  const Weights weights(*backend, {{"a.weight", stored({2, 1}, {1, 2})}, {"extra", stored({1}, {1})}}, {}, "model.safetensors");
  (weights / "a").tensor("weight", {1, 2});
  (weights / "a").tensor("bias", {2});
  EXPECT_THAT([&] { weights.finish(); },
              ThrowsMessage<Error>(AllOf(HasSubstr("model.safetensors: 3 of"), HasSubstr("missing: a.bias [2]"),
                                         HasSubstr("a.weight is [2, 1], expected [1, 2]"), HasSubstr("extra [1]"))));
}

TEST_F(WeightsTest, FinishAcceptsWhatWasTakenOrIgnored) {
  const Weights weights(*backend, {{"a", stored({1}, {1})}, {"b", stored({1}, {1})}}, {}, "x");
  weights.tensor("a", {1});
  weights.ignore("b");
  EXPECT_NO_THROW(weights.finish());
}

TEST_F(WeightsTest, Bfloat16StorageRoundsToNearestEven) {
  const Weights weights(*backend, {{"a", stored({2}, {1.00390625f, 1.01171875f})}}, {DType::bfloat16}, "x");
  EXPECT_THAT(weights.tensor("a", {2}).to_host(), ElementsAre(1.f, 1.015625f));
}

TEST_F(WeightsTest, StackedLinearsGiveTheBitsOfEachInAnyOrder) {
  const int64_t in = 7, out = 3;
  const auto some = [](int64_t count, int seed) {
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(float((i * 37 + seed * 11) % 23) / 8 - 1);
    return values;
  };
  auto narrow = std::make_shared<std::vector<bfloat16>>();   // b's type is not a's
  for (const float value : some(out * in, 2)) narrow->push_back(bfloat16(value));
  const StoredTensors tensors{{"a.weight", stored({out, in}, some(out * in, 1))}, {"a.bias", stored({out}, some(out, 3))},
                              {"b.weight", {DType::bfloat16, {out, in}, std::as_bytes(std::span(*narrow)), narrow, "test"}},
                              {"b.bias", stored({out}, some(out, 4))}};
  const Tensor x(*backend, {2, in}, some(2 * in, 5));
  const std::vector<int64_t> order{2, 1, 0, 3, 5, 4};
  for (const WeightStorage& storage : {WeightStorage{}, WeightStorage{DType::bfloat16}, WeightStorage{.products = DType::int16}}) {
    const Weights weights(*backend, tensors, storage, "x");
    const std::vector<float> a = Linear(weights / "a", in, out)(x).to_host(), b = Linear(weights / "b", in, out)(x).to_host();
    const std::vector<float> as_stored = Linear::stacked(weights, {"a", "b"}, in, out, {}, true)(x).to_host();
    const std::vector<float> ordered = Linear::stacked(weights, {"a", "b"}, in, out, order, true)(x).to_host();
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t n = 0; n < 2 * out; ++n) {
        const float expected = n < out ? a[size_t(row * out + n)] : b[size_t(row * out + n - out)];
        EXPECT_EQ(as_stored[size_t(row * 2 * out + n)], expected);
        EXPECT_EQ(ordered[size_t(row * 2 * out + std::find(order.begin(), order.end(), n) - order.begin())], expected);
      }
    weights.finish();
  }
  const Weights lacking(*backend, tensors, {}, "x");
  Linear::stacked(lacking, {"a", "c", "b"}, in, out, {}, true);
  EXPECT_THAT([&] { lacking.finish(); }, ThrowsMessage<Error>(AllOf(HasSubstr("missing: c.weight [3, 7]"), HasSubstr("missing: c.bias [3]"))));
}

TEST_F(WeightsTest, AConvolutionStoredWithTwoKernelAxesEqualsOneWithThree) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6, 7, 8};   // [out 1, in 2, height 2, width 2]
  const Weights weights(*backend, {{"two.weight", stored({1, 2, 2, 2}, values)}, {"three.weight", stored({1, 2, 1, 2, 2}, values)}}, {}, "x");
  const ConvolutionGeometry geometry{.kernel = {1, 2, 2}};
  const Tensor x(*backend, {1, 1, 2, 2, 2}, {1, 10, 2, 20, 3, 30, 4, 40});
  const auto run = [&](const char* name, int axes) {
    return Convolution(weights / name, 2, 1, geometry, axes, false)(x).to_host();
  };
  EXPECT_THAT(run("two", 2), ElementsAre(1 * 1 + 2 * 2 + 3 * 3 + 4 * 4 + 50 + 120 + 210 + 320));
  EXPECT_EQ(run("two", 2), run("three", 3));
}

}  // namespace
}  // namespace pyracast
