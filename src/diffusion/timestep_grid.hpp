#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace pyracast {

/// How timesteps are chosen out of the trained ones: `timestep_spacing` and `steps_offset` of scheduler_config.json.
struct TimestepSpacing {
  enum class Kind { linspace, leading, trailing } kind = Kind::leading;
  int64_t offset = 0;
  int train = 1000;

  static TimestepSpacing from_json(const Json& json, const std::string& where, const char* usual);

  /// Whole timesteps, most noise first (DDIM, DDPM, PNDM). Throws Error where there are not so many.
  std::vector<int64_t> integers(int steps) const;
  /// The same, but linspace is not rounded (Euler).
  std::vector<float> fractions(int steps) const;
};

/// Evenly spaced timesteps, most noise first: (steps - 1) r, …, r, 0 with r = num_train_timesteps / steps, rounded down
/// (diffusers' "leading" spacing without an offset: Latte-1's DDIM).
std::vector<int64_t> leading_timesteps(int steps, int num_train_timesteps = 1000);

/// The timesteps of each of PNDM's evaluations over `grid`, most noise first (Liu et al., arXiv 2202.09778; diffusers'
/// PNDMScheduler): with its Runge-Kutta start steps + 9, without it one more than steps. `half`: half a step of the start.
std::vector<int64_t> pndm_timesteps(const std::vector<int64_t>& grid, int64_t half, bool runge_kutta);
/// The same with leading spacing and the Runge-Kutta start: Open-Sora-Plan v1.1. At least 4 steps.
std::vector<int64_t> pndm_timesteps(int steps, int num_train_timesteps = 1000);

}  // namespace pyracast
