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
  TorchNoise every(3, DType::float32, 9), last(3, DType::float32, 9);
  EXPECT_EQ(every.draw(NoiseUse::latents, 0, 0, shape), last.draw(NoiseUse::latents, 0, 0, shape));
  for (int step = 0; step < 2; ++step) every.draw(NoiseUse::renoise, 0, step, shape);
  EXPECT_EQ(every.draw(NoiseUse::renoise, 0, 2, shape), last.draw(NoiseUse::renoise, 0, 2, shape));
}

TEST(NoiseSource, GivesPartsOfTheSameNumbers) {
  PhiloxNoise noise(42, "a", 0);
  const std::vector<float> whole = noise.draw(NoiseUse::encode_temporal, 0, 3, shape);
  for (const auto& [axis, first, last] : {std::tuple{0, 0, 1}, {1, 1, 3}, {2, 1, 2}, {4, 2, 5}}) {
    const NoisePart part{size_t(axis), first, last, {}};
    EXPECT_EQ(noise.draw_part(NoiseUse::encode_temporal, 0, 3, shape, part),
              noise.NoiseSource::draw_part(NoiseUse::encode_temporal, 0, 3, shape, part)) << axis;   // cut out of the whole
  }
  EXPECT_EQ(noise.draw_part(NoiseUse::encode_temporal, 0, 3, shape, {2, 0, 2, {}}), whole);
  EXPECT_EQ(noise.draw_part(NoiseUse::encode_temporal, 0, 3, {5, 2}, {0, 1, 2, {}}), std::vector<float>(whole.begin() + 2, whole.begin() + 4));
}

/// Numbers of one generator, one call behind the other.
struct Drawn {
  TorchGenerator generator{3};
  std::vector<float> operator()(size_t count, DType dtype = DType::float32) {
    std::vector<float> values(count);
    generator.randn(values, dtype);
    return values;
  }
};

// The golden case pipeline_opensora_references holds such an order against the published pipeline.
TEST(TorchNoise, DrawsForEncodersPieceByPieceAndBeforeTheLatents) {
  const Shape frames{5, 4, 1, 3}, latents{1, 2, 3, 1, 1};
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    TorchNoise noise(3, dtype, 2);
    Drawn drawn;
    for (const int clip : {0, 1}) {
      std::vector<float> spatial = drawn(48, dtype);   // four frames, and the fifth
      const std::vector<float> fifth = drawn(12, dtype);
      std::vector<float> first = drawn(4), second = drawn(2);   // of each channel two and one latent frame
      for (std::vector<float>* values : {&first, &second})
        for (float& value : *values) value = dtype == DType::bfloat16 ? round_to_bfloat16(value) : value;
      EXPECT_EQ(noise.draw_part(NoiseUse::encode_spatial, clip, 0, frames, {0, 4, 5, {4, 1}}), fifth);
      EXPECT_EQ(noise.draw_part(NoiseUse::encode_spatial, clip, 0, frames, {0, 0, 4, {4, 1}}), spatial);
      EXPECT_EQ(noise.draw_part(NoiseUse::encode_temporal, clip, 0, latents, {2, 0, 3, {2, 1}}),
                (std::vector<float>{first[0], first[1], second[0], first[2], first[3], second[1]}));
      EXPECT_EQ(noise.draw(NoiseUse::latents, clip, 0, shape), drawn(120, dtype));
      drawn(120, dtype);   // the first step's, which nobody asks for
      const std::vector<float> step = drawn(120);
      if (clip == 0) continue;   // nor for the second's
      EXPECT_EQ(noise.draw(NoiseUse::renoise, clip, 1, shape), step);
    }
  }
}

TEST(TorchNoise, GivesNothingTwice) {
  TorchNoise noise(3, DType::float32, 4);
  noise.draw(NoiseUse::latents, 0, 0, shape);
  noise.draw(NoiseUse::renoise, 0, 2, shape);
  EXPECT_THAT(error_of([&] { noise.draw(NoiseUse::renoise, 0, 1, shape); }), HasSubstr("step 1 behind step 2"));
  EXPECT_THAT(error_of([&] { noise.draw(NoiseUse::encode_spatial, 0, 0, shape); }), HasSubstr("in parts"));
  EXPECT_THAT(error_of([&] { noise.draw_part(NoiseUse::encode_spatial, 0, 0, shape, {0, 0, 1, {2}}); }),
              HasSubstr("1 places along an axis in pieces that have 2"));
}

}  // namespace
}  // namespace pyracast
