#include "dataset/clip_hash.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "dataset/luma.hpp"

namespace pyracast {

namespace {

constexpr int rows = 8, columns = 9, least_fall = 2, most_different_bits = 15, most_different_colour = 3;
constexpr size_t frame_digits = 16, digits = 4 * frame_digits + 6;

/// Mean luma of the part [first, last) of the rows and columns of a frame, in levels.
double mean_luma(const Video& video, const uint8_t* rgb, std::array<int, 2> y, std::array<int, 2> x) {
  uint64_t sum = 0;
  for (int row = y[0]; row < y[1]; ++row)
    for (int column = x[0]; column < x[1]; ++column) sum += luma_of(rgb + 3 * (size_t(row) * size_t(video.width) + size_t(column)));
  return double(sum) / luma_scale / (double(y[1] - y[0]) * (x[1] - x[0]));
}

/// Part `i` of `parts` of an axis; a pixel at least, so that parts of a short axis share pixels.
std::array<int, 2> part(int i, int parts, int size) {
  const int first = int(int64_t(i) * size / parts), last = int(int64_t(i + 1) * size / parts);
  return {first, std::max(last, first + 1)};
}

uint64_t hash_of_frame(const Video& video, int frame) {
  const uint8_t* rgb = video.rgb.data() + size_t(frame) * video.frame_bytes();
  uint64_t bits = 0;
  for (int row = 0; row < rows; ++row) {
    double left = 0;
    for (int column = 0; column < columns; ++column) {
      const double here = mean_luma(video, rgb, part(row, rows, video.height), part(column, columns, video.width));
      if (column > 0) bits = bits << 1 | uint64_t(left - here > least_fall);
      left = here;
    }
  }
  return bits;
}

std::array<uint8_t, 3> mean_colour(const Video& video) {
  uint64_t sums[3] = {};
  for (size_t i = 0; i < video.rgb.size(); ++i) sums[i % 3] += video.rgb[i];
  std::array<uint8_t, 3> mean;
  const uint64_t pixels = video.rgb.size() / 3;
  for (size_t c = 0; c < 3; ++c) mean[c] = uint8_t((sums[c] + pixels / 2) / pixels);
  return mean;
}

}  // namespace

ClipHash hash_of(const Video& video) {
  assert(video.frames > 0 && video.height > 0 && video.width > 0);
  ClipHash hash;
  const int quarters = int(hash.frames.size());
  for (int i = 0; i < quarters; ++i) hash.frames[size_t(i)] = hash_of_frame(video, int(int64_t(2 * i + 1) * video.frames / (2 * quarters)));
  hash.colour = mean_colour(video);
  return hash;
}

std::string to_text(const ClipHash& hash) {
  char text[digits + 1];
  const auto& [a, b, c, d] = hash.frames;
  std::snprintf(text, sizeof text, "%016llx%016llx%016llx%016llx%02x%02x%02x", (unsigned long long)a, (unsigned long long)b,
                (unsigned long long)c, (unsigned long long)d, hash.colour[0], hash.colour[1], hash.colour[2]);
  return text;
}

std::optional<ClipHash> clip_hash_from(std::string_view text) {
  if (text.size() != digits) return std::nullopt;
  ClipHash hash;
  const auto read = [&](size_t at, size_t count, auto& number) {
    const char* end = text.data() + at + count;
    return std::from_chars(text.data() + at, end, number, 16).ptr == end;
  };
  bool whole = true;
  for (size_t i = 0; i < hash.frames.size(); ++i) whole = whole && read(i * frame_digits, frame_digits, hash.frames[i]);
  for (size_t c = 0; c < 3; ++c) whole = whole && read(hash.frames.size() * frame_digits + 2 * c, 2, hash.colour[c]);
  return whole ? std::optional(hash) : std::nullopt;
}

bool few_bits_differ(const std::array<uint64_t, 4>& a, const std::array<uint64_t, 4>& b) {
  int different = 0;
  for (size_t i = 0; i < a.size() && different <= most_different_bits; ++i) different += std::popcount(a[i] ^ b[i]);
  return different <= most_different_bits;
}

bool near_duplicates(const ClipHash& a, const ClipHash& b) {
  for (size_t c = 0; c < 3; ++c)
    if (std::abs(int(a.colour[c]) - int(b.colour[c])) > most_different_colour) return false;
  if (!few_bits_differ(a.frames, b.frames)) return false;
  int different = 0, set = 0;
  for (size_t i = 0; i < a.frames.size(); ++i) {
    different += std::popcount(a.frames[i] ^ b.frames[i]);
    set += std::popcount(a.frames[i] | b.frames[i]);
  }
  return 8 * different <= set;
}

}  // namespace pyracast
