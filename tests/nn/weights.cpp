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
