#pragma once
#include <cstdint>
#include <vector>

namespace pyracast {

/// Evenly spaced timesteps, most noise first: (steps - 1) r, …, r, 0 with r = num_train_timesteps / steps, rounded down
/// (diffusers' "leading" spacing without an offset: Latte-1's DDIM).
std::vector<int64_t> leading_timesteps(int steps, int num_train_timesteps = 1000);

/// The timesteps of each of PNDM's steps + 9 evaluations (Liu et al., arXiv 2202.09778; diffusers' PNDMScheduler, leading
/// spacing, with its Runge-Kutta start: Open-Sora-Plan v1.1). At least 4 steps.
std::vector<int64_t> pndm_timesteps(int steps, int num_train_timesteps = 1000);

}  // namespace pyracast
