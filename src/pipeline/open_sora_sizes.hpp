#pragma once
// Open-Sora v1.2's tables of sizes (opensora/datasets/aspect.py and bucket names of that release).
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pyracast {

struct ImageSize {
  int64_t height = 0, width = 0;
  bool operator==(const ImageSize&) const = default;
};

/// A ratio of the tables as it is written there ("0.56", height / width), and the size it stands for.
struct RatioSize {
  std::string_view ratio;
  ImageSize size;
};

/// One table: about `area` pixels in several ratios.
struct Resolution {
  std::string_view name;
  int64_t area;
  std::span<const RatioSize> ratios;
};

std::span<const Resolution> resolutions();

/// A name of a ratio ("9:16", height:width) and its key in the tables ("0.56").
struct NamedRatio {
  std::string_view name, key;
};
std::span<const NamedRatio> named_ratios();

struct NamedFrames {
  std::string_view name;
  int64_t frames;
};
/// "4s", "2x" …
std::span<const NamedFrames> named_frames();

/// The size of a resolution ("480p") in a ratio ("9:16"). Throws Error naming what exists.
ImageSize image_size(std::string_view resolution, std::string_view aspect_ratio);

/// The number of frames of a name ("4s"), or the number itself ("33").
int64_t frame_count(std::string_view name);

/// The key of the ratio in a resolution's table that is nearest to height / width; the first of equal ones.
std::string closest_ratio(double height, double width, std::string_view resolution);

inline constexpr int64_t open_sora_video_fps = 24, open_sora_image_fps = 120;

}  // namespace pyracast
