#include "pipeline/noise_source.hpp"

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;

const Shape shape{1, 4, 2, 3, 5};

TEST(PhiloxNoise, GivesTheSameNumbersInAnyOrder) {
  PhiloxNoise forward(42, "a", 0), backward(42, "a", 0);
  const auto latents = forward.draw(NoiseUse::latents, 0, 0, shape), renoise = forward.draw(NoiseUse::renoise, 1, 7, shape);
  EXPECT_EQ(backward.draw(NoiseUse::renoise, 1, 7, shape), renoise);
  EXPECT_EQ(backward.draw(NoiseUse::latents, 0, 0, shape), latents);
}

TEST(PhiloxNoise, EveryUseClipStepSeedIdAndSampleHasItsOwn) {
  const auto draw = [](uint64_t seed, const char* id, uint32_t sample, NoiseUse use, int clip, int step) {
    return PhiloxNoise(seed, id, sample).draw(use, clip, step, shape);
  };
  std::vector<std::vector<float>> all{draw(1, "a", 0, NoiseUse::latents, 0, 0), draw(2, "a", 0, NoiseUse::latents, 0, 0),
                                      draw(1, "b", 0, NoiseUse::latents, 0, 0), draw(1, "a", 1, NoiseUse::latents, 0, 0),
                                      draw(1, "a", 0, NoiseUse::renoise, 0, 0), draw(1, "a", 0, NoiseUse::latents, 1, 0),
                                      draw(1, "a", 0, NoiseUse::renoise, 0, 1), draw(1, "a", 0, NoiseUse::encode_spatial, 0, 0)};
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(all[i], all[j]) << i << ' ' << j;
}

TEST(TorchNoise, DrawsForEveryStepInTurnWhetherItIsUsedOrNot) {
  TorchNoise every(3, DType::float32), last(3, DType::float32);
  EXPECT_EQ(every.draw(NoiseUse::latents, 0, 0, shape), last.draw(NoiseUse::latents, 0, 0, shape));
  for (int step = 0; step < 2; ++step) every.draw(NoiseUse::renoise, 0, step, shape);
  EXPECT_EQ(every.draw(NoiseUse::renoise, 0, 2, shape), last.draw(NoiseUse::renoise, 0, 2, shape));
}

TEST(TorchNoise, RefusesFurtherClips) {
  TorchNoise noise(3, DType::float32);
  EXPECT_THAT(error_of([&] { noise.draw(NoiseUse::latents, 1, 0, shape); }), HasSubstr("use noise philox"));
  EXPECT_THAT(error_of([&] { noise.draw(NoiseUse::encode_spatial, 0, 0, shape); }), HasSubstr("one clip"));
}

}  // namespace
}  // namespace pyracast
