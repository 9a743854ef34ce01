#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pyracast {

/// Pixels as a viewer sees them: rgb [frames, height, width, 3], 8 bit, row-major.
struct Video {
  int frames = 0, height = 0, width = 0;
  double fps = 24;
  std::vector<uint8_t> rgb;

  size_t frame_bytes() const { return size_t(height) * width * 3; }
};

/// What frames of a video are taken from: a picture, which is a video of one frame, or a video, in the size that is wanted.
struct Reference {
  Video video;
  std::string sha256;   ///< of the file, 64 hexadecimal digits
};

}  // namespace pyracast
