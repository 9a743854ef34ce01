#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
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

/// What frames of a video are taken from, a picture or a video, in the size that is wanted.
struct Reference {
  int frames = 0;              ///< of the whole file, 1 of a picture
  std::vector<float> pixels;   ///< of the frames that are wanted, [frames, height, width, 3], from 0 to 1
  std::string sha256;          ///< of the file, 64 hexadecimal digits
};

/// Which frames are wanted of a reference that has so many and this SHA-256. Throws Error where there are too few.
using WantedFrames = std::function<std::vector<bool>(int frames, const std::string& sha256)>;

}  // namespace pyracast
