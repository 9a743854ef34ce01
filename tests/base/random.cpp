#include "base/random.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

std::vector<float> noise(size_t count, uint64_t seed, std::string_view id, uint32_t sample = 0, uint32_t draw = 0) {
  std::vector<float> values(count);
  standard_normal(seed, id, sample, draw, values);
  return values;
}

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

// The generator's published known answers, computed here by the compiler.
static_assert(philox4x32({0, 0, 0, 0}, {0, 0}) == PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
              PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
static_assert(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});

TEST(Noise, HasTheSameBitsWhenTheCompilerComputesIt) {
  constexpr NoiseStream stream{.key = {1, 2}, .id = 3, .sample = 4, .draw = 5};
  constexpr auto at_compile_time = stream.normals(6);
  volatile uint32_t block = 6;
  const auto at_run_time = stream.normals(block);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(std::bit_cast<uint32_t>(at_compile_time[i]), std::bit_cast<uint32_t>(at_run_time[i]));
}

TEST(Noise, HasKnownBits) {
  EXPECT_THAT(bits_of(noise(8, 42, "a red ball")),
              testing::ElementsAre(0x3e16bdb2, 0xbf1918df, 0xbf29b2fa, 0x3f84b7b4,
                                   0x3f4dd936, 0xbc550578, 0x3f3dfd18, 0x3f94bdd1));
  EXPECT_THAT(bits_of(noise(4, 42, "a red ball", 1)),
              testing::ElementsAre(0xbfb04666, 0x3f889e1d, 0xbe9932eb, 0x3fb56856));
  EXPECT_THAT(bits_of(noise(4, 42, "a red ball", 0, 1)),
              testing::ElementsAre(0xbf3e6614, 0xbf99f555, 0xbf621674, 0xbe93bd17));
  EXPECT_THAT(bits_of(noise(4, UINT64_MAX, "")),
              testing::ElementsAre(0xbf6e2313, 0x3f980566, 0xbe62d48f, 0x3ed6a9c3));
}

TEST(Noise, DependsOnEachPartOfItsKey) {
  const auto values = noise(64, 1, "id");
  EXPECT_EQ(values, noise(64, 1, "id"));
  for (const auto& other : {noise(64, 2, "id"), noise(64, 1, "ie"), noise(64, 1, "id", 1), noise(64, 1, "id", 0, 1),
                            noise(64, 1, ""), noise(64, uint64_t(1) << 32 | 1, "id")})
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NE(values[i], other[i]) << i;
  EXPECT_NE(noise(4, 1, "1:x"), noise(4, 11, ":x"));
}

TEST(Noise, OfALongerDrawBeginsWithThatOfAShorterOne) {
  const auto longer = noise(1003, 7, "id");
  for (const size_t count : {0, 1, 2, 3, 4, 5, 1002})
    EXPECT_EQ(noise(count, 7, "id"), std::vector<float>(longer.begin(), longer.begin() + ptrdiff_t(count)));
}

TEST(Noise, IsStandardNormal) {
  auto values = noise(1 << 20, 123, "statistics");
  const double n = double(values.size());
  double mean = 0, second = 0, third = 0, fourth = 0, neighbours = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double x = values[i];
    mean += x / n;
    second += x * x / n;
    third += x * x * x / n;
    fourth += x * x * x * x / n;
    neighbours += x * values[(i + 1) % values.size()] / n;
  }
  // Four standard deviations of each moment of n normal values.
  EXPECT_NEAR(mean, 0, 4 * std::sqrt(1 / n));
  EXPECT_NEAR(second, 1, 4 * std::sqrt(2 / n));
  EXPECT_NEAR(third, 0, 4 * std::sqrt(15 / n));
  EXPECT_NEAR(fourth, 3, 4 * std::sqrt(96 / n));
  EXPECT_NEAR(neighbours, 0, 4 * std::sqrt(1 / n));
  // Kolmogorov and Smirnov: above 1.95 / sqrt(n) once in a thousand.
  std::ranges::sort(values);
  double largest = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double below = std::erfc(-values[i] / std::numbers::sqrt2) / 2;
    largest = std::max({largest, std::abs(below - double(i) / n), std::abs(below - double(i + 1) / n)});
  }
  EXPECT_LT(largest, 1.95 / std::sqrt(n));
}

TEST(PortableMathematics, IsCloseToTheLibrary) {
  uint32_t word = 1;
  for (int i = 0; i < 200'000; ++i) {
    word = word * 1664525u + 1013904223u;
    const float u = float(word >> (i % 32)) * 0x1p-32f + 0x1p-33f;
    const double logarithm = std::log(double(u)), angle = word * (2 * std::numbers::pi / 4294967296.0);
    ASSERT_NEAR(portable_log(u), logarithm, 2e-7 * std::max(1.0, -logarithm)) << u;
    ASSERT_NEAR(portable_sqrt(u), std::sqrt(double(u)), 2e-7 * std::sqrt(double(u))) << u;
    ASSERT_NEAR(portable_sine_cosine(word).sine, std::sin(angle), 2e-7) << word;
    ASSERT_NEAR(portable_sine_cosine(word).cosine, std::cos(angle), 2e-7) << word;
  }
}

TEST(PortableMathematics, IsFiniteAtTheEndsOfTheRange) {
  for (const uint32_t first : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xfffffffeu, 0xffffffffu})
    for (const uint32_t second : {0u, 0x1fffffffu, 0x20000000u, 0x7fffffffu, 0x80000000u, 0xe0000000u, 0xffffffffu})
      for (const float value : normal_pair(first, second)) {
        EXPECT_TRUE(std::isfinite(value));
        EXPECT_LT(std::abs(value), 6.8f);
      }
  EXPECT_EQ(normal_pair(0xffffffff, 0)[0], 0.0f);
}

}  // namespace
}  // namespace pyracast
