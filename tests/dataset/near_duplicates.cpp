#include "dataset/near_duplicates.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

namespace pyracast {
namespace {

using testing::ElementsAre;

/// A clip of 45 x 40 pixels with noise of an amplitude on a picture that `seed` decides.
Video noisy(uint64_t seed, int amplitude, uint64_t noise_seed = 0) {
  std::mt19937_64 picture(seed), noise(noise_seed);
  int levels[8][9];
  for (auto& row : levels)
    for (int& level : row) level = 40 + int(picture() % 180);
  Video video{6, 40, 45, 8, {}};
  for (int frame = 0; frame < 6; ++frame)
    for (int y = 0; y < 40; ++y)
      for (int x = 0; x < 45; ++x) {
        const auto value = uint8_t(levels[y / 5][(x / 5 + frame) % 9] + int(noise() % uint64_t(2 * amplitude + 1)) - amplitude);
        for (int c = 0; c < 3; ++c) video.rgb.push_back(value);
      }
  return video;
}

ClipHash random_hash(std::mt19937_64& random) {
  ClipHash hash;
  for (uint64_t& frame : hash.frames) frame = random();
  hash.colour = {uint8_t(random()), uint8_t(random()), uint8_t(random())};
  return hash;
}

TEST(ClipHash, HasABitWhereThePictureFallsToTheRight) {
  Video video{1, 8, 9, 8, {}};
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 9; ++x)
      for (int c = 0; c < 3; ++c) video.rgb.push_back(x == 0 || (y == 7 && x == 7) ? 200 : 100);
  const uint64_t expected = 0x8080808080808081;
  EXPECT_THAT(hash_of(video).frames, ElementsAre(expected, expected, expected, expected));
}

TEST(ClipHash, OfPlainAreasDoesNotDependOnFaintNoise) {
  Video plain{4, 16, 16, 8, std::vector<uint8_t>(4 * 16 * 16 * 3, 100)};
  for (size_t i = 0; i < plain.rgb.size(); i += 7) ++plain.rgb[i];
  EXPECT_THAT(hash_of(plain).frames, ElementsAre(0, 0, 0, 0));
}

TEST(ClipHash, OfTinyClipsIsThere) { EXPECT_EQ(hash_of(Video{1, 1, 1, 8, {10, 20, 30}}).colour, (std::array<uint8_t, 3>{10, 20, 30})); }

TEST(ClipHash, ComesBackFromItsText) {
  const ClipHash hash = hash_of(noisy(3, 2));
  const std::string text = to_text(hash);
  EXPECT_EQ(text.size(), 70u);
  EXPECT_EQ(clip_hash_from(text), hash);
  EXPECT_FALSE(clip_hash_from(""));
  EXPECT_FALSE(clip_hash_from(text.substr(1)));
  EXPECT_FALSE(clip_hash_from("x" + text.substr(1)));
}

TEST(NearDuplicates, AreClipsThatDifferInNoiseAndNotThoseThatDifferInPictureOrColour) {
  const ClipHash one = hash_of(noisy(1, 0));
  EXPECT_TRUE(near_duplicates(one, hash_of(noisy(1, 8, 5))));
  EXPECT_FALSE(near_duplicates(one, hash_of(noisy(2, 0))));
  ClipHash red = one, other = one;
  red.colour[0] ^= 0x40;
  EXPECT_FALSE(near_duplicates(one, red));
  other.frames = {one.frames[3], one.frames[2], one.frames[1], one.frames[0]};
  EXPECT_FALSE(near_duplicates(one, other)) << "the same pictures in another order";
}

TEST(NearDuplicates, OfClipsWithFewBitsSetDifferInFewer) {
  ClipHash one, other;
  one.frames = {0b1111, 0b1111, 0, 0};
  other.frames = {0b11110, 0b1111, 0, 0};
  EXPECT_FALSE(near_duplicates(one, other)) << "2 of 9 bits";
  other.frames = {0b0111, 0b1111, 0, 0};
  EXPECT_TRUE(near_duplicates(one, other)) << "1 of 8";
}

TEST(NearDuplicates, AreGroupedWhereverTheirBitsDiffer) {
  std::mt19937_64 random(7);
  std::vector<ClipHash> clips;
  for (int i = 0; i < 3000; ++i) clips.push_back(random_hash(random));
  std::vector<size_t> copies;
  for (size_t i = 0; i < 100; ++i) {   // with 12 bits changed anywhere: bands of 16 stay whole
    ClipHash copy = clips[i * 30];
    std::vector<int> bits(256);
    for (int bit = 0; bit < 256; ++bit) bits[size_t(bit)] = bit;
    std::shuffle(bits.begin(), bits.end(), random);
    for (int k = 0; k < 12; ++k) copy.frames[size_t(bits[size_t(k)] / 64)] ^= uint64_t(1) << (bits[size_t(k)] % 64);
    clips.push_back(copy);
  }
  const std::vector<uint32_t> groups = near_duplicate_groups(clips);
  EXPECT_EQ(*std::max_element(groups.begin(), groups.end()), 100);
  for (size_t i = 0; i < 3000; ++i)
    if (i % 30 == 0) EXPECT_TRUE(groups[i] > 0 && groups[i] == groups[3000 + i / 30]) << i;
    else EXPECT_EQ(groups[i], 0) << i;
}

TEST(NearDuplicates, AreTheSameGroupsInAnyOrder) {
  std::mt19937_64 random(3);
  std::vector<ClipHash> clips;
  for (int i = 0; i < 400; ++i) clips.push_back(i % 4 == 3 ? clips[random() % clips.size()] : random_hash(random));
  for (int i = 0; i < 200; ++i) {   // in one bucket of every band, more than are compared with each
    ClipHash flat;
    flat.colour = {uint8_t(i % 100), 0, 0};
    clips.push_back(flat);
  }
  const std::vector<uint32_t> groups = near_duplicate_groups(clips);
  std::vector<size_t> order(clips.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  std::vector<ClipHash> shuffled;
  for (const size_t i : order) shuffled.push_back(clips[i]);
  const std::vector<uint32_t> again = near_duplicate_groups(shuffled);
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(again[i], groups[order[i]]);
}

TEST(NearDuplicates, OfNothingAreNone) { EXPECT_TRUE(near_duplicate_groups({}).empty()); }

TEST(NearDuplicates, AllEqualAreOneGroup) {
  EXPECT_THAT(near_duplicate_groups(std::vector<ClipHash>(5)), ElementsAre(1, 1, 1, 1, 1));
}

}  // namespace
}  // namespace pyracast
