#include "diffusion/timestep_grid.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace pyracast {

TimestepSpacing TimestepSpacing::from_json(const Json& json, const std::string& where, const char* usual) {
  const auto name = value_or<std::string>(json, "timestep_spacing", usual, where);
  require(name == "linspace" || name == "leading" || name == "trailing", where, ": timestep_spacing is \"", name,
          "\", expected linspace, leading or trailing");
  return {name == "linspace" ? Kind::linspace : name == "leading" ? Kind::leading : Kind::trailing,
          value_or(json, "steps_offset", int64_t(0), where), int(count_value_or(json, "num_train_timesteps", 1000, where))};
}

std::vector<float> TimestepSpacing::fractions(int steps) const {
  require(steps >= 1 && steps <= train, steps, " denoising steps, expected 1 to ", train);
  std::vector<float> grid;
  if (kind == Kind::trailing) {
    for (int i = 0; i < steps; ++i) grid.push_back(float(std::nearbyint(train - i * (double(train) / steps)) - 1));
    return grid;
  }
  for (int i = steps; i-- > 0;) {
    if (kind == Kind::leading) grid.push_back(float(i * int64_t(train / steps) + offset));
    else grid.push_back(steps == 1 ? 0.f : float(i * (double(train - 1) / (steps - 1))));
  }
  return grid;
}

std::vector<int64_t> TimestepSpacing::integers(int steps) const {
  std::vector<int64_t> grid;
  if (kind == Kind::linspace) {
    require(steps >= 1 && steps <= train, steps, " denoising steps, expected 1 to ", train);
    for (int i = steps; i-- > 0;) grid.push_back(steps == 1 ? 0 : int64_t(std::nearbyint(i * (double(train - 1) / (steps - 1)))));
    return grid;
  }
  for (const float t : fractions(steps)) grid.push_back(int64_t(t));
  return grid;
}

std::vector<int64_t> leading_timesteps(int steps, int num_train_timesteps) {
  return TimestepSpacing{TimestepSpacing::Kind::leading, 0, num_train_timesteps}.integers(steps);
}

// Runge-Kutta of order four passes the first three intervals: their ends once or twice each, their middles twice.
std::vector<int64_t> pndm_timesteps(const std::vector<int64_t>& plain, int64_t half, bool runge_kutta) {
  if (!runge_kutta) {
    require(plain.size() >= 2, plain.size(), " denoising steps, expected at least 2 of PNDM");
    std::vector<int64_t> grid = plain;
    grid.insert(grid.begin() + 1, plain[1]);
    return grid;
  }
  require(plain.size() >= 4, plain.size(), " denoising steps, expected at least 4 (the Runge-Kutta start passes three intervals)");
  std::vector<int64_t> grid{plain[0]};
  for (size_t interval = 1; interval <= 3; ++interval) {
    grid.insert(grid.end(), 2, plain[interval] + half);
    grid.insert(grid.end(), interval < 3 ? 2 : 1, plain[interval]);
  }
  grid.insert(grid.end(), plain.begin() + 3, plain.end());
  return grid;
}

std::vector<int64_t> pndm_timesteps(int steps, int num_train_timesteps) {
  return pndm_timesteps(leading_timesteps(steps, num_train_timesteps), num_train_timesteps / steps / 2, true);
}

}  // namespace pyracast
