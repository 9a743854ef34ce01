#include "dataset/clip_quality.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <vector>

#include "dataset/luma.hpp"

namespace pyracast {

namespace {

bool is_clipped(const uint8_t* rgb) {
  int at_top = 0, at_bottom = 0;
  for (int c = 0; c < 3; ++c) {
    at_top += rgb[c] >= 255 - clipped_margin;
    at_bottom += rgb[c] <= clipped_margin;
  }
  return at_top > 0 && at_top + at_bottom >= 2;
}

}  // namespace

// Whole numbers are summed, and divided once: nothing depends on the order.
ClipQuality measure_quality(const Video& video) {
  const size_t pixels = size_t(video.height) * size_t(video.width);
  assert(video.frames > 0 && pixels > 0);
  uint64_t sum = 0, dark = 0, clipped = 0, differences = 0, still = 0;
  std::vector<uint16_t> before(pixels), luma(pixels);
  for (int frame = 0; frame < video.frames; ++frame) {
    const uint8_t* rgb = video.rgb.data() + size_t(frame) * video.frame_bytes();
    uint64_t difference = 0;
    for (size_t i = 0; i < pixels; ++i, rgb += 3) {
      luma[i] = luma_of(rgb);
      sum += luma[i];
      dark += luma[i] < dark_luma * luma_scale;
      clipped += is_clipped(rgb);
      if (frame > 0) difference += uint64_t(std::abs(int(luma[i]) - int(before[i])));
    }
    differences += difference;
    still += frame > 0 && double(difference) < still_difference * luma_scale * double(pixels);
    before.swap(luma);
  }
  const double all = double(pixels) * video.frames, pairs = video.frames - 1;
  ClipQuality quality{double(sum) / luma_scale / all, double(dark) / all, double(clipped) / all};
  if (pairs > 0) {
    quality.frame_difference = double(differences) / luma_scale / (double(pixels) * pairs);
    quality.still_share = double(still) / pairs;
  }
  return quality;
}

std::string flags_of(const ClipQuality& quality) {
  const bool set[quality_flags.size()] = {quality.dark_share >= black_from, quality.still_share >= frozen_from,
                                          quality.clipped_share >= saturated_from};
  std::string flags;
  for (size_t i = 0; i < quality_flags.size(); ++i)
    if (set[i]) flags += (flags.empty() ? "" : ",") + std::string(quality_flags[i]);
  return flags;
}

bool has_flag(std::string_view flags, std::string_view flag) {
  for (size_t begin = 0; begin <= flags.size();) {
    const size_t end = std::min(flags.find(',', begin), flags.size());
    if (flags.substr(begin, end - begin) == flag) return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace pyracast
