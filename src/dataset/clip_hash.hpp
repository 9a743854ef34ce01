#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/video.hpp"

namespace pyracast {

/// What a clip looks like, in a few bytes: clips that look alike differ in few bits.
struct ClipHash {
  /// Of four frames, in the middle of each quarter of the clip: a bit for each of 8 x 8 places, row by row from the highest
  /// bit, set where the luma falls by more than 2 levels from that place of a grid of 8 x 9 means to its right neighbour.
  std::array<uint64_t, 4> frames{};
  std::array<uint8_t, 3> colour{};   ///< mean red, green and blue of the clip

  auto operator<=>(const ClipHash&) const = default;
};

/// The hash of a clip of at least one frame of at least one pixel.
ClipHash hash_of(const Video& video);

/// As 70 hexadecimal digits: 16 a frame, then the colour; and back, absent for any other text.
std::string to_text(const ClipHash& hash);
std::optional<ClipHash> clip_hash_from(std::string_view text);

/// Whether no more bits of the frames differ than in near_duplicates(); also of both turned alike.
bool few_bits_differ(const std::array<uint64_t, 4>& a, const std::array<uint64_t, 4>& b);

/// Whether two clips look nearly the same: no mean colour is more than 3 levels away, and at most 15 of the 256 bits
/// differ, and at most an eighth of those that are set in either.
bool near_duplicates(const ClipHash& a, const ClipHash& b);

}  // namespace pyracast
