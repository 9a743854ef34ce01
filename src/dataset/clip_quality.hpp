#pragma once
#include <array>
#include <string>
#include <string_view>

#include "base/video.hpp"

namespace pyracast {

/// What the pixels of a clip show, as numbers that are the same on every machine. Levels are those of 8 bits, 0 to 255;
/// luma is BT.709's on the coded values.
struct ClipQuality {
  double mean_luma = 0;
  double dark_share = 0;        ///< of pixels: luma below dark_luma
  double clipped_share = 0;     ///< of pixels: two channels or all within clipped_margin of an end, one of them of 255
  double frame_difference = 0;  ///< mean absolute difference of luma between neighbouring frames; 0 of a single frame
  double still_share = 0;       ///< of pairs of neighbouring frames: differing by less than still_difference; 0 of a single frame
};

/// Thresholds. Those of black and frozen are the defaults of ffmpeg's filters blackdetect and freezedetect.
inline constexpr double dark_luma = 25.5, black_from = 0.98;            ///< a tenth of the range; share of dark pixels
inline constexpr double still_difference = 0.255, frozen_from = 0.9;    ///< a thousandth of the range; share of still pairs
inline constexpr int clipped_margin = 4;
inline constexpr double saturated_from = 0.5;                           ///< share of clipped pixels

/// The flags there are, in the order in which they stand in a text.
inline constexpr std::array<const char*, 3> quality_flags{"black", "frozen", "saturated"};

/// Measures a clip of at least one frame of at least one pixel.
ClipQuality measure_quality(const Video& video);

/// The flags of a clip by the thresholds above, with commas between; empty for a clip without any.
std::string flags_of(const ClipQuality& quality);

/// Whether `flags`, as flags_of() gives them, has this one.
bool has_flag(std::string_view flags, std::string_view flag);

}  // namespace pyracast
