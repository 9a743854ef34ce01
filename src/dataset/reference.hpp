#pragma once
#include <filesystem>

#include "base/video.hpp"

namespace pyracast {

/// A picture of one frame in the size that just fills height x width, its middle cut out: by Pillow's bicubic filter, the same bytes as
/// resize_crop_to_fill of Open-Sora v1.2's data_process.py. Throws Error where it would be a thousand million pixels long.
Video filling(const Video& picture, int height, int width);

/// A picture or video file that libav reads, each frame filling height x width. Throws Error naming the file where it cannot be read or holds more
/// than `most_frames`.
Reference read_reference(const std::filesystem::path& file, int height, int width, int most_frames);

}  // namespace pyracast
