#pragma once
#include <optional>

#include "base/video.hpp"

struct AVFrame;

namespace pyracast {

/// The pixels of a decoded JPEG as libjpeg (and so Pillow) makes them of its brightness and colours, the same bytes: swscale takes colours of half as
/// many columns or rows to lie elsewhere. Nothing where a JPEG holds something else.
std::optional<Video> jpeg_pixels(const AVFrame& frame);

}  // namespace pyracast
