#pragma once
// The rectified-flow sampler of Open-Sora v1.2 (opensora/schedulers/rf of that release).
#include <cstdint>
#include <functional>
#include <vector>

#include "base/dtype.hpp"
#include "tensor/ops.hpp"

namespace pyracast {

struct RectifiedFlowSettings {
  int steps = 30;
  int num_timesteps = 1000;
  bool use_discrete_timesteps = false;
  bool use_timestep_transform = true;   ///< shifts the timesteps towards noise for large and long videos
};

/// What the timestep transform looks at, in pixels and frames as the user gives them.
struct ClipSize {
  double height = 0, width = 0, frames = 0;
};

/// The grid of timesteps of one video, most noise first.
struct RectifiedFlowSchedule {
  std::vector<float> timesteps;         ///< [steps]: what the update rule uses
  std::vector<float> model_timesteps;   ///< [steps]: the same rounded to the model's type; what the network is given
  std::vector<int64_t> integer_timesteps() const;   ///< [steps], truncated: what broadcasting's windows look at
  /// Step i's share of the way from noise to data: (t_i - t_{i+1}) / num_timesteps.
  float step_size(int step) const;

  int num_timesteps = 1000;
};

/// `dtype` is the model's: height, width and frames are rounded to it, and in bfloat16 so is every intermediate of the
/// transform before it meets the float32 timestep (the published pipeline holds them in tensors of that type).
RectifiedFlowSchedule rectified_flow_schedule(const RectifiedFlowSettings& settings, const ClipSize& size, DType dtype);

/// unconditional + guidance * (conditional - unconditional).
Tensor guided(const Tensor& conditional, const Tensor& unconditional, float guidance);

/// Which frames of a clip are generated. `mask` [batch, frames] in 0..1: 1 generates, 0 keeps, a fraction keeps the
/// frame until the noise has fallen below it. At each step: renoised before the network, restored after the update.
class FrameMask {
 public:
  FrameMask(std::vector<float> mask, int64_t batch, int num_timesteps);

  /// [batch * frames]: 1 where the mask reaches the timestep.
  std::vector<int64_t> frames_generated(float timestep) const;
  /// Latents [batch, channels, frames, height, width] before the network at `timestep`: frames that are generated from
  /// this step on start from u * noise + (1 - u) * latents, u = timestep / num_timesteps. `noise` is called for the
  /// noise, shaped like latents, only where it is needed.
  Tensor renoised(const Tensor& latents, const std::function<Tensor()>& noise, float timestep);
  /// For latents that another one has taken past `timestep`, the last before those to come.
  void go_on_after(float timestep) { noise_added_ = frames_generated(timestep); }
  /// The updated latents where frames are generated, `before` elsewhere.
  Tensor restored(const Tensor& updated, const Tensor& before, float timestep) const;

 private:
  std::vector<float> mask_;
  int64_t batch_;
  int num_timesteps_;
  std::vector<int64_t> noise_added_;

  Tensor select(const std::vector<int64_t>& take_first, const Tensor& first, const Tensor& second) const;
};

}  // namespace pyracast
