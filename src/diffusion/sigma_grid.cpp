#include "diffusion/sigma_grid.hpp"

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>

#include "base/error.hpp"

namespace pyracast {

std::optional<SigmaSpacing> sigma_spacing_of(const Json& config, const std::string& where) {
  std::optional<SigmaSpacing> spacing;
  const auto look = [&](const char* key, SigmaSpacing kind) {
    if (!value_or(config, key, false, where)) return;
    require(!spacing, where, ": ", key, " is true beside another spacing of sigmas; at most one can be");
    spacing = kind;
  };
  look("use_karras_sigmas", SigmaSpacing::karras);
  look("use_exponential_sigmas", SigmaSpacing::exponential);
  look("use_beta_sigmas", SigmaSpacing::beta);
  return spacing;
}

std::vector<double> spaced_sigmas(SigmaSpacing spacing, double largest, double smallest, int count) {
  constexpr double rho = 7, alpha = 0.6, beta = 0.6;
  std::vector<double> sigmas;
  for (int i = 0; i < count; ++i) {
    const double share = count > 1 ? double(i) / (count - 1) : 0;
    switch (spacing) {
      case SigmaSpacing::karras: {
        const double from = std::pow(largest, 1 / rho), to = std::pow(smallest, 1 / rho);
        sigmas.push_back(std::pow(from + share * (to - from), rho));
        break;
      }
      case SigmaSpacing::exponential:
        sigmas.push_back(std::exp(std::log(largest) + share * (std::log(smallest) - std::log(largest))));
        break;
      case SigmaSpacing::beta:
        sigmas.push_back(smallest + (largest - smallest) * boost::math::ibeta_inv(alpha, beta, 1 - share));
    }
  }
  return sigmas;
}

double interpolated(const std::vector<float>& table, double index) {
  if (index <= 0) return table.front();
  if (index >= double(table.size() - 1)) return table.back();
  const auto low = size_t(index);
  return table[low] + (index - double(low)) * (double(table[low + 1]) - table[low]);
}

double timestep_of_sigma(const std::vector<float>& sigmas, double sigma) {
  const double wanted = std::log(std::max(sigma, 1e-10));
  const auto above = std::upper_bound(sigmas.begin(), sigmas.end(), wanted, [](double value, float s) { return value < std::log(double(s)); });
  const size_t low = size_t(std::clamp<ptrdiff_t>(above - sigmas.begin() - 1, 0, ptrdiff_t(sigmas.size()) - 2));
  const double from = std::log(double(sigmas[low])), to = std::log(double(sigmas[low + 1]));
  return double(low) + std::clamp((from - wanted) / (from - to), 0.0, 1.0);
}

}  // namespace pyracast
