#pragma once
#include <filesystem>

#include "base/video.hpp"

namespace pyracast {

/// A picture of one frame in another size, by Pillow's bicubic filter (Image.resize, 8 bits a channel): the same bytes.
Video resized(const Video& picture, int height, int width);

/// The same, made just large enough to fill height x width, and its middle cut out (resize_crop_to_fill of Open-Sora v1.2's data_process.py).
Video filling(const Video& picture, int height, int width);

/// A picture or video file that libav reads, each frame filling height x width. Throws Error naming the file where it cannot be read or holds more
/// than `most_frames`.
Reference read_reference(const std::filesystem::path& file, int height, int width, int most_frames);

}  // namespace pyracast
