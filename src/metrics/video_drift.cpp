#include "metrics/video_drift.hpp"

#include <numeric>

#include "base/error.hpp"

namespace pyracast {

Planes frame_of(const Video& video, int frame) {
  Planes planes{3, video.height, video.width, std::vector<float>(video.frame_bytes())};
  const uint8_t* rgb = video.rgb.data() + size_t(frame) * video.frame_bytes();
  const size_t pixels = size_t(video.height) * size_t(video.width);
  for (size_t i = 0; i < pixels; ++i)
    for (size_t c = 0; c < 3; ++c) planes.values[c * pixels + i] = float(rgb[i * 3 + c]) / 255.f;
  return planes;
}

VideoDrift drift_of(const Video& reference, const Video& video) {
  require(reference.frames == video.frames && reference.height == video.height && reference.width == video.width && video.frames > 0,
          "videos of ", reference.frames, " x ", reference.height, " x ", reference.width, " and ", video.frames, " x ", video.height, " x ",
          video.width, " cannot be compared: expected the same size");
  VideoDrift drift;
  double similarity = 0;
  const bool holds_window = video.height >= ssim_window && video.width >= ssim_window;
  for (int frame = 0; frame < video.frames; ++frame) {
    const Planes one = frame_of(reference, frame), other = frame_of(video, frame);
    drift.psnr.push_back(psnr(one, other));
    if (holds_window) similarity += ssim(one, other);
  }
  drift.mean_psnr = std::accumulate(drift.psnr.begin(), drift.psnr.end(), 0.0) / double(video.frames);
  if (holds_window) drift.mean_ssim = similarity / double(video.frames);
  return drift;
}

std::optional<double> relative_mse(std::span<const float> reference, std::span<const float> values) {
  if (reference.empty() || reference.size() != values.size()) return std::nullopt;
  double difference = 0, size = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    difference += (double(reference[i]) - values[i]) * (double(reference[i]) - values[i]);
    size += double(reference[i]) * reference[i];
  }
  if (size == 0) return std::nullopt;
  return difference / size;
}

}  // namespace pyracast
