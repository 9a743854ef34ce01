#pragma once
#include <string>

#include "base/torch_random.hpp"
#include "tensor/tensor.hpp"

namespace pyracast {

/// What random numbers are drawn for; each use, clip and step has numbers of its own.
enum class NoiseUse { latents, renoise, encode_spatial, encode_temporal };

/// Gives standard normal numbers to a pipeline. They are drawn for the whole tensor: a video does not depend on how
/// many ranks make it.
struct NoiseSource {
  virtual ~NoiseSource() = default;
  /// `clip` counts the clips of a video, `step` the denoising steps (0 where there are none).
  virtual std::vector<float> draw(NoiseUse use, int clip, int step, const Shape& shape) = 0;
};

/// Our own noise: a pure function of (seed, id, sample) and the use, the same bits on every device.
class PhiloxNoise final : public NoiseSource {
 public:
  PhiloxNoise(uint64_t seed, std::string id, uint32_t sample) : seed_(seed), id_(std::move(id)), sample_(sample) {}
  std::vector<float> draw(NoiseUse use, int clip, int step, const Shape& shape) override;

 private:
  uint64_t seed_;
  std::string id_;
  uint32_t sample_;
};

/// What the published pipeline draws on a CPU after torch.manual_seed(seed): the latents of its first clip in the
/// model's type, then a tensor of that shape a step. Videos of several clips, or with frames from references, have no such
/// counterpart: an Error.
class TorchNoise final : public NoiseSource {
 public:
  TorchNoise(uint64_t seed, DType dtype) : generator_(seed), dtype_(dtype) {}
  std::vector<float> draw(NoiseUse use, int clip, int step, const Shape& shape) override;

 private:
  TorchGenerator generator_;
  DType dtype_;
  int drawn_steps_ = 0;
};

}  // namespace pyracast
