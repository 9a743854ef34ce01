#include "diffusion/noise_table.hpp"

#include <cmath>
#include <numbers>

#include "base/error.hpp"

namespace pyracast {

namespace {

/// torch.linspace: both ends exact, each half counted from its own end.
std::vector<float> linspace(float start, float end, int count) {
  const float step = (end - start) / float(count - 1);
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(i < count / 2 ? std::fma(step, float(i), start) : std::fma(-step, float(count - 1 - i), end));
  return values;
}

std::vector<float> cumulative_product(const std::vector<float>& alphas) {
  double product = 1;
  std::vector<float> out;
  for (const float alpha : alphas) out.push_back(float(product *= alpha));
  return out;
}

std::vector<float> betas_of(const Json& json, const std::string& where, int count) {
  const auto schedule = value_or<std::string>(json, "beta_schedule", "linear", where);
  const auto start = value_or(json, "beta_start", 0.0001, where), end = value_or(json, "beta_end", 0.02, where);
  require(0 < start && start <= end && end < 1, where, ": beta_start ", start, " and beta_end ", end, ", expected 0 < start <= end < 1");
  if (schedule == "linear") return linspace(float(start), float(end), count);
  std::vector<float> betas;
  if (schedule == "scaled_linear") {
    for (const float root : linspace(float(std::sqrt(start)), float(std::sqrt(end)), count)) betas.push_back(root * root);
    return betas;
  }
  require(schedule == "squaredcos_cap_v2", where, ": beta_schedule is \"", schedule, "\", expected linear, scaled_linear or squaredcos_cap_v2");
  const auto left = [](double t) {
    const double c = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
    return c * c;
  };
  for (int i = 0; i < count; ++i) betas.push_back(float(std::min(1 - left(double(i + 1) / count) / left(double(i) / count), 0.999)));
  return betas;
}

/// Shifted and stretched so that the last timestep has no signal at all.
std::vector<float> rescaled(const std::vector<float>& betas) {
  std::vector<float> alphas;
  for (const float beta : betas) alphas.push_back(1 - beta);
  std::vector<float> roots;
  for (const float product : cumulative_product(alphas)) roots.push_back(std::sqrt(product));
  const float first = roots.front(), last = roots.back();
  std::vector<float> products, out;
  for (const float root : roots) {
    const float moved = (root - last) * (first / (first - last));
    products.push_back(moved * moved);
  }
  for (size_t i = 0; i < products.size(); ++i) out.push_back(1 - (i ? products[i] / products[i - 1] : products[0]));
  return out;
}

}  // namespace

std::vector<float> NoiseTable::sigmas() const {
  std::vector<float> out;
  for (const float a : alphas_cumprod) out.push_back(std::sqrt((1 - a) / a));
  return out;
}

NoiseTable NoiseTable::from_json(const Json& json, const std::string& where, bool last_is_not_zero) {
  require(!json.contains("trained_betas") || json.at("trained_betas").is_null(), where, ": trained_betas are not supported, expected null");
  const auto count = int(count_value_or(json, "num_train_timesteps", 1000, where));
  require(count >= 2, where, ": num_train_timesteps is ", count, ", expected at least 2");
  const bool zero_snr = value_or(json, "rescale_betas_zero_snr", false, where);
  NoiseTable table{betas_of(json, where, count), {}};
  if (zero_snr) table.betas = rescaled(table.betas);
  std::vector<float> alphas;
  for (const float beta : table.betas) alphas.push_back(1 - beta);
  table.alphas_cumprod = cumulative_product(alphas);
  if (zero_snr && last_is_not_zero) table.alphas_cumprod.back() = std::ldexp(1.f, -24);
  return table;
}

}  // namespace pyracast
