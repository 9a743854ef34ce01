#pragma once
#include <string>
#include <vector>

#include "base/json.hpp"

namespace pyracast {

/// How much noise a diffusion model was trained under, timestep by timestep: the published scheduler_config.json's
/// `num_train_timesteps`, `beta_schedule` (linear, scaled_linear, squaredcos_cap_v2), `beta_start`, `beta_end` and
/// `rescale_betas_zero_snr` (Lin et al., arXiv 2305.08891), as diffusers tabulates them.
struct NoiseTable {
  std::vector<float> betas;
  std::vector<float> alphas_cumprod;   ///< the share of the data's variance that is left

  int timesteps() const { return int(betas.size()); }
  /// sqrt((1 - a) / a) with a = alphas_cumprod: [num_train_timesteps], growing.
  std::vector<float> sigmas() const;

  /// `last_is_not_zero`: where the rescaled table ends at 0, 2^-24 stands for it (diffusers' Euler and DPM-Solver kinds).
  /// Throws Error naming `where` and the key.
  static NoiseTable from_json(const Json& json, const std::string& where, bool last_is_not_zero);
};

}  // namespace pyracast
