#pragma once
#include <string>

#include "base/video.hpp"

namespace pyracast {

/// `count` frames of a clip, from its first to its last, side by side as one frame, a thin white line between them; fewer
/// where it has fewer. Each is made smaller, by means over its pixels, until no side is longer than `longest` pixels.
Video film_strip(const Video& video, int count, int longest);

/// The first frame as the bytes of a JPEG file. Throws Error where libav cannot make one.
std::string jpeg_of(const Video& picture);

}  // namespace pyracast
