#pragma once
#include <cstdint>
#include <vector>

namespace pyracast {

/// A picture in planes: values [channels, height, width] in 0 to 1.
struct Planes {
  int64_t channels = 0, height = 0, width = 0;
  std::vector<float> values;
};

/// 10 log10(1 / mean squared difference), in dB; 100 where that mean is below 1e-10 (the convention of the evaluation that
/// VideoSys and its successors publish with). Throws Error on pictures of different sizes.
double psnr(const Planes& a, const Planes& b);

/// Pixels that SSIM's window is high and wide.
inline constexpr int64_t ssim_window = 11;

/// Structural similarity (Wang et al., IEEE Transactions on Image Processing 13(4), 2004): a Gaussian window of 11 x 11 and
/// sigma 1.5 where it fits into the picture, constants 0.01^2 and 0.03^2, each channel by itself; the mean over positions
/// and channels. Throws Error on pictures of different sizes or smaller than the window.
double ssim(const Planes& a, const Planes& b);

}  // namespace pyracast
