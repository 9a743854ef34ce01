#pragma once
#include "tensor/tensor.hpp"

namespace pyracast {

/// What random numbers are drawn for; each use, clip and step has numbers of its own.
enum class NoiseUse { latents, renoise, encode_spatial, encode_temporal };

/// Gives standard normal numbers to a pipeline. They are drawn for the whole tensor: a video does not depend on how
/// many ranks make it.
struct NoiseSource {
  virtual ~NoiseSource() = default;
  /// `clip` is the loop's number, `step` the denoising step (0 where there is none).
  virtual std::vector<float> draw(NoiseUse use, int clip, int step, const Shape& shape) = 0;
};

}  // namespace pyracast
