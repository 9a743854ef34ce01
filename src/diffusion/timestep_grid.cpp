#include "diffusion/timestep_grid.hpp"

#include "base/error.hpp"

namespace pyracast {

std::vector<int64_t> leading_timesteps(int steps, int num_train_timesteps) {
  require(steps >= 1 && steps <= num_train_timesteps, steps, " denoising steps, expected 1 to ", num_train_timesteps);
  std::vector<int64_t> grid;
  for (int i = steps; i-- > 0;) grid.push_back(i * int64_t(num_train_timesteps / steps));
  return grid;
}

// Runge-Kutta of order four passes the first three intervals: their ends once or twice each, their middles twice.
std::vector<int64_t> pndm_timesteps(int steps, int num_train_timesteps) {
  require(steps >= 4, steps, " denoising steps, expected at least 4 (the Runge-Kutta start passes three intervals)");
  const std::vector<int64_t> plain = leading_timesteps(steps, num_train_timesteps);
  const int64_t half = num_train_timesteps / steps / 2;
  std::vector<int64_t> grid{plain[0]};
  for (size_t interval = 1; interval <= 3; ++interval) {
    grid.insert(grid.end(), 2, plain[interval] + half);
    grid.insert(grid.end(), interval < 3 ? 2 : 1, plain[interval]);
  }
  grid.insert(grid.end(), plain.begin() + 3, plain.end());
  return grid;
}

}  // namespace pyracast
