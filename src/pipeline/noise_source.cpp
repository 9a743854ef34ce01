#include "pipeline/noise_source.hpp"

#include "base/random.hpp"

namespace pyracast {

std::vector<float> PhiloxNoise::draw(NoiseUse use, int clip, int step, const Shape& shape) {
  std::vector<float> values(size_t(size_of(shape)));
  const uint32_t number = (uint32_t(clip) << 20) | (uint32_t(use) << 16) | uint32_t(step);
  standard_normal(seed_, id_, sample_, number, values);
  return values;
}

std::vector<float> TorchNoise::draw(NoiseUse use, int clip, int step, const Shape& shape) {
  require(clip == 0 && (use == NoiseUse::latents || use == NoiseUse::renoise),
          "noise torch is defined for videos of one clip without references; use noise philox for others");
  std::vector<float> values(size_t(size_of(shape)));
  if (use == NoiseUse::latents) {
    generator_.randn(values, dtype_);
    return values;
  }
  // The published sampler draws at every step, whether it needs the numbers or not.
  for (; drawn_steps_ <= step; ++drawn_steps_) generator_.randn(values);
  return values;
}

}  // namespace pyracast
