#pragma once
#include <optional>
#include <span>
#include <vector>

#include "base/video.hpp"
#include "metrics/picture_quality.hpp"

namespace pyracast {

/// A frame as planes.
Planes frame_of(const Video& video, int frame);

/// How far a video has come away from another one.
struct VideoDrift {
  std::vector<double> psnr;          ///< [frames], dB
  double mean_psnr = 0;
  std::optional<double> mean_ssim;   ///< absent: frames are smaller than SSIM's window
};

/// Frame by frame. Throws Error on videos of different sizes.
VideoDrift drift_of(const Video& reference, const Video& video);

/// |values - reference|^2 / |reference|^2; nothing where they are none, of different sizes, or the reference is 0.
std::optional<double> relative_mse(std::span<const float> reference, std::span<const float> values);

}  // namespace pyracast
