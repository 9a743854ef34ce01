#pragma once
#include <filesystem>

#include "base/video.hpp"

namespace pyracast {

/// A picture of one frame in the size that just fills height x width, its middle cut out: by Pillow's bicubic filter, the same bytes as
/// resize_crop_to_fill of Open-Sora v1.2's data_process.py. Throws Error where it would be a thousand million pixels long.
Video filling(const Video& picture, int height, int width);

/// The same of a frame of a video, from 0 to 1: by PyTorch's bilinear interpolation, which makes no mean over what becomes smaller, as
/// resize_crop_to_fill of v1.2's video_transforms.py does.
std::vector<float> bilinearly_filling(const Video& frame, int height, int width);

/// A file that libav reads, in height x width: a picture, told by the endings of its name that the published pipeline knows, or a video, of which
/// the wanted frames are kept. Throws Error naming the file where it cannot be read.
Reference read_reference(const std::filesystem::path& file, int height, int width, const WantedFrames& wanted);

}  // namespace pyracast
