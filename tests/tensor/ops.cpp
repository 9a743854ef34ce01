#include "tensor/ops.hpp"

#include <gmock/gmock.h>

#include <numeric>

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class Ops : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend = make_cpu_backend();
  Tensor counting(Shape shape) {
    std::vector<float> values(size_t(size_of(shape)));
    std::iota(values.begin(), values.end(), 0.f);
    return Tensor(*backend, shape, values);
  }
};

TEST_F(Ops, PermuteMovesAxes) {
  EXPECT_THAT(permute(counting({2, 3}), {1, 0}).to_host(), ElementsAre(0, 3, 1, 4, 2, 5));
  const Tensor x = counting({2, 3, 4, 5});
  EXPECT_EQ(permute(permute(x, {3, 1, 0, 2}), {2, 1, 3, 0}).to_host(), x.to_host());
}

TEST_F(Ops, SlicesOfATensorJoinToTheTensor) {
  const Tensor x = counting({3, 4, 5});
  for (int axis = 0; axis < 3; ++axis)
    EXPECT_EQ(concatenate({slice(x, axis, 0, 1), slice(x, axis, 1, x.dim(axis))}, axis).to_host(), x.to_host());
}

TEST_F(Ops, RepeatPutsWholeCopiesBehindEachOther) {
  const Tensor x = counting({2, 3, 4});
  for (int axis = -1; axis < 3; ++axis) {
    const Tensor repeated = repeat(x, axis, 3);
    EXPECT_EQ(repeated.to_host(), concatenate({x, x, x}, axis).to_host()) << axis;
    EXPECT_EQ(repeated.shape(), concatenate({x, x, x}, axis).shape()) << axis;
  }
}

TEST_F(Ops, PadAddsZerosAndUpsampleRepeatsPixels) {
  EXPECT_THAT(pad(counting({2, 2}), 1, 1, 2).to_host(), ElementsAre(0, 0, 1, 0, 0, 0, 2, 3, 0, 0));
  EXPECT_THAT(upsample_nearest(counting({1, 1, 1, 2, 1})).to_host(), ElementsAre(0, 0, 1, 1, 0, 0, 1, 1));
}

TEST_F(Ops, ShapesThatDoNotFitAreErrorsThatNameBoth) {
  EXPECT_THAT([&] { counting({2, 3}) + counting({3, 2}); }, ThrowsMessage<Error>(HasSubstr("[2, 3] and [3, 2]")));
  EXPECT_THAT([&] { counting({2, 3}).reshape({4, 2}); }, ThrowsMessage<Error>(HasSubstr("[4, 2]")));
  EXPECT_THAT([&] { slice(counting({2, 3}), 1, 2, 4); }, ThrowsMessage<Error>(HasSubstr("2 to 4")));
  EXPECT_THAT([&] { gather_rows(counting({2, 3}), std::vector<int64_t>{2}); }, ThrowsMessage<Error>(HasSubstr("row 2")));
  const PackedWeights weight = backend->pack_exactly(counting({4, 3}).view());
  EXPECT_THAT([&] { linear(counting({2, 5}), weight, {}); }, ThrowsMessage<Error>(HasSubstr("takes 3 features")));
  EXPECT_THAT([&] { linear(counting({2, 3}), weight, {}, Activation::none, counting({2, 3})); },
              ThrowsMessage<Error>(HasSubstr("the residual is [2, 3] of float32, expected [2, 4]")));
}

}  // namespace
}  // namespace pyracast
