#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace pyracast {

/// Spacings of sigmas that replace a grid of timesteps: `use_karras_sigmas` (Karras et al., arXiv 2206.00364, eq. 5),
/// `use_exponential_sigmas`, `use_beta_sigmas` (Lee et al., arXiv 2407.12173).
enum class SigmaSpacing { karras, exponential, beta };

/// Which of them a scheduler_config.json asks for; none, or Error where it asks for two.
std::optional<SigmaSpacing> sigma_spacing_of(const Json& config, const std::string& where);

/// `count` sigmas from `largest` down to `smallest`.
std::vector<double> spaced_sigmas(SigmaSpacing spacing, double largest, double smallest, int count);

/// The table's value at a fractional index, by linear interpolation; its ends beyond them.
double interpolated(const std::vector<float>& table, double index);

/// The fractional index at which a growing table of sigmas reaches `sigma`, interpolated in its logarithm.
double timestep_of_sigma(const std::vector<float>& sigmas, double sigma);

}  // namespace pyracast
