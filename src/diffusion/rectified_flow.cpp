#include "diffusion/rectified_flow.hpp"

#include <algorithm>
#include <cmath>

namespace pyracast {

namespace {

/// shift * u / (1 + (shift - 1) * u) of each u = t / num_timesteps, with shift = sqrt(pixels / 512^2) * sqrt(latent
/// frames): float32 operations in the published order, the shift's own in the model's type.
float timestep_shift(const ClipSize& size, DType dtype) {
  const auto rounded = [&](double x) { return dtype == DType::bfloat16 ? round_to_bfloat16(float(x)) : float(x); };
  const float height = rounded(size.height), width = rounded(size.width), frames = rounded(size.frames);
  const float resolution = rounded(height * width);
  const float ratio_space = rounded(std::sqrt(rounded(resolution / (512.f * 512.f))));
  const float latent_frames = frames == 1 ? 1 : rounded(rounded(std::floor(frames / 17.f)) * 5.f);
  const float ratio_time = rounded(std::sqrt(rounded(latent_frames / 1.f)));
  return rounded(ratio_space * ratio_time);
}

}  // namespace

std::vector<int64_t> RectifiedFlowSchedule::integer_timesteps() const {
  return {model_timesteps.begin(), model_timesteps.end()};
}

float RectifiedFlowSchedule::step_size(int step) const {
  const size_t i = size_t(step);
  const float next = i + 1 < timesteps.size() ? timesteps[i + 1] : 0;
  return (timesteps[i] - next) / float(num_timesteps);
}

RectifiedFlowSchedule rectified_flow_schedule(const RectifiedFlowSettings& settings, const ClipSize& size, DType dtype) {
  require(settings.steps > 0, "the number of denoising steps is ", settings.steps, ", expected at least 1");
  RectifiedFlowSchedule schedule;
  schedule.num_timesteps = settings.num_timesteps;
  const float scale = float(settings.num_timesteps);
  const float shift = timestep_shift(size, dtype);
  const float shift_minus_one = dtype == DType::bfloat16 ? round_to_bfloat16(shift - 1) : shift - 1;
  for (int i = 0; i < settings.steps; ++i) {
    double exact = (1.0 - double(i) / settings.steps) * settings.num_timesteps;
    if (settings.use_discrete_timesteps) exact = std::nearbyint(exact);
    float t = float(exact);
    if (settings.use_timestep_transform) {
      const float u = t / scale;
      t = shift * u / (1 + shift_minus_one * u) * scale;
    }
    schedule.timesteps.push_back(t);
    schedule.model_timesteps.push_back(dtype == DType::bfloat16 ? round_to_bfloat16(t) : t);
  }
  return schedule;
}

Tensor guided(const Tensor& conditional, const Tensor& unconditional, float guidance) {
  return combine(1, unconditional, guidance, combine(1, conditional, -1, unconditional));
}

FrameMask::FrameMask(std::vector<float> mask, int64_t batch, int num_timesteps)
    : mask_(std::move(mask)), batch_(batch), num_timesteps_(num_timesteps) {
  for (const float value : mask_) noise_added_.push_back(value == 1);
}

std::vector<int64_t> FrameMask::frames_generated(float timestep) const {
  std::vector<int64_t> generated;
  for (const float value : mask_) generated.push_back(value * float(num_timesteps_) >= timestep);
  return generated;
}

// Per frame: 1 takes `first`, 0 takes `second`. Latents are [batch, channels, frames, height, width].
Tensor FrameMask::select(const std::vector<int64_t>& take_first, const Tensor& first, const Tensor& second) const {
  if (std::count(take_first.begin(), take_first.end(), 0) == 0) return first;
  if (std::count(take_first.begin(), take_first.end(), 1) == 0) return second;
  const int64_t frames = int64_t(mask_.size()) / batch_;
  std::vector<Tensor> entries;
  for (int64_t b = 0; b < batch_; ++b) {
    std::vector<Tensor> parts;
    for (int64_t t = 0; t < frames; ++t) {
      const Tensor& source = take_first[size_t(b * frames + t)] ? first : second;
      parts.push_back(slice(slice(source, 0, b, b + 1), 2, t, t + 1));
    }
    entries.push_back(concatenate(parts, 2));
  }
  return concatenate(entries, 0);
}

Tensor FrameMask::renoised(const Tensor& latents, const std::function<Tensor()>& noise, float timestep) {
  const float u = timestep / float(num_timesteps_);
  const std::vector<int64_t> generated = frames_generated(timestep);
  std::vector<int64_t> starts(generated.size());
  for (size_t i = 0; i < generated.size(); ++i) starts[i] = generated[i] && !noise_added_[i];
  noise_added_ = generated;
  if (std::count(starts.begin(), starts.end(), 1) == 0) return latents;
  return select(starts, combine(u, noise(), 1 - u, latents), latents);
}

Tensor FrameMask::restored(const Tensor& updated, const Tensor& before, float timestep) const {
  return select(frames_generated(timestep), updated, before);
}

}  // namespace pyracast
