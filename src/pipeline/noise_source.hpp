#pragma once
#include <map>
#include <string>

#include "base/torch_random.hpp"
#include "tensor/tensor.hpp"

namespace pyracast {

/// What random numbers are drawn for; each use, clip and step has numbers of its own.
enum class NoiseUse { latents, renoise, encode_spatial, encode_temporal };

/// A run of a tensor along one of its axes. `pieces`: how much of that axis the published pipeline draws at a time, one after the other.
struct NoisePart {
  size_t axis = 0;
  int64_t first = 0, last = 0;
  std::vector<int64_t> pieces;
};

/// Gives standard normal numbers to a pipeline. They are drawn for the whole tensor: a video does not depend on how
/// many ranks make it.
struct NoiseSource {
  virtual ~NoiseSource() = default;
  /// `clip` counts the clips of a video, `step` the denoising steps (0 where there are none).
  virtual std::vector<float> draw(NoiseUse use, int clip, int step, const Shape& shape) = 0;
  /// That part of the numbers of a tensor of this shape.
  virtual std::vector<float> draw_part(NoiseUse use, int clip, int step, const Shape& shape, const NoisePart& part);
};

/// Our own noise: a pure function of (seed, id, sample) and the use, the same bits on every device.
class PhiloxNoise final : public NoiseSource {
 public:
  PhiloxNoise(uint64_t seed, std::string id, uint32_t sample) : seed_(seed), id_(std::move(id)), sample_(sample) {}
  std::vector<float> draw(NoiseUse use, int clip, int step, const Shape& shape) override;
  std::vector<float> draw_part(NoiseUse use, int clip, int step, const Shape& shape, const NoisePart& part) override;

 private:
  uint64_t seed_;
  std::string id_;
  uint32_t sample_;
};

/// What the published pipeline draws on a CPU after torch.manual_seed(seed): for each reference what its encoding takes, the latents in the
/// model's type, then a tensor of that shape a step; for a further clip, what the encoding of the one before takes, and so on. One generator
/// gives all of it, so that it must be asked in that order.
class TorchNoise final : public NoiseSource {
 public:
  /// A clip has so many steps.
  TorchNoise(uint64_t seed, DType dtype, int steps) : generator_(seed), dtype_(dtype), steps_(steps) {}
  std::vector<float> draw(NoiseUse use, int clip, int step, const Shape& shape) override;
  /// The parts of one tensor in any order, but all uses of it, and what comes before, in that of the published pipeline.
  std::vector<float> draw_part(NoiseUse use, int clip, int step, const Shape& shape, const NoisePart& part) override;

 private:
  struct Whole {
    int clip = -1, step = -1;
    std::vector<float> values;
  };

  TorchGenerator generator_;
  DType dtype_;
  int steps_, drawn_steps_ = 0;
  size_t latents_ = 0;                  ///< numbers that a step draws, once the clip's latents are drawn
  std::map<NoiseUse, Whole> wholes_;    ///< of which parts are given

  /// Of the published sampler, which draws at every step, whether it needs the numbers or not; those of the first step in the type `first`.
  std::vector<float> draw_steps(int end, DType first);
  /// What the steps of a clip that was begun have not drawn yet.
  void end_clip();
};

}  // namespace pyracast
