#include <cmath>

#include "diffusion/sampler.hpp"
#include "parity/components.hpp"

namespace pyracast {

namespace {

SamplerOptions options_of(const Case& c) {
  SamplerOptions options;
  const Json& grid = c.call().at("set_timesteps_kwargs");
  const Json& step = c.call().at("step_kwargs");
  if (grid.contains("mu")) options.mu = value<double>(grid, "mu", c.where());
  options.sigmas = value_or(grid, "sigmas", std::vector<double>(), c.where());
  options.eta = value_or(step, "eta", 0.0, c.where());
  options.use_clipped_model_output = value_or(step, "use_clipped_model_output", false, c.where());
  options.churn = value_or(step, "s_churn", 0.0, c.where());
  options.churn_min = value_or(step, "s_tmin", 0.0, c.where());
  options.churn_max = value_or(step, "s_tmax", 1e300, c.where());
  options.churn_noise = value_or(step, "s_noise", 1.0, c.where());
  return options;
}

/// The network of these cases: a x + b sin(t / 100), and what stands for a learned variance behind it.
Tensor fake_output(const Case& c, const Tensor& x, float t) {
  const Json& model = c.call().at("model");
  const auto a = value<double>(model, "a", c.where()), b = value<double>(model, "b", c.where());
  const auto variance = value_or<std::string>(c.config(), "variance_type", "", c.where());
  std::vector<float> out = x.to_host(), second = out;
  for (float& v : out) v = float(a * v + b * std::sin(0.01 * t));
  const Tensor first(x.backend(), x.shape(), out);
  if (variance != "learned" && variance != "learned_range") return first;
  for (float& v : second) {
    if (variance == "learned") v = float(0.01 + 0.02 * std::sin(double(v)) * std::sin(double(v)));
    else v = float(value<double>(model, "c", c.where()) * std::cos(double(v)));
  }
  return concatenate({first, Tensor(x.backend(), x.shape(), second)}, 1);
}

void add_timesteps(Results& results, const std::string& name, const Sampler& sampler) {
  const std::vector<float>& timesteps = sampler.timesteps();
  const Shape shape{int64_t(timesteps.size())};
  if (sampler.has_integer_timesteps()) results.add_integers(name, shape, {timesteps.begin(), timesteps.end()});
  else results.add(name, shape, timesteps);
}

}  // namespace

void run_scheduler(const Case& c, Results& results) {
  const auto name = value<std::string>(c.config(), "_class_name", c.where());
  if (name != "FlowMatchEulerDiscreteScheduler") {
    const NoiseTable table = NoiseTable::from_json(c.config(), c.where(), name.starts_with("Euler") || name.starts_with("DPM"));
    results.add("betas", {table.timesteps()}, table.betas);
    results.add("alphas_cumprod", {table.timesteps()}, table.alphas_cumprod);
  }
  const auto noise_kind = value_or<std::string>(c.call(), "step_noise", "", c.where());
  bool first = true;
  for (const int steps : value<std::vector<int>>(c.call(), "steps", c.where())) {
    const std::string prefix = concat("steps_", steps, '.');
    const auto sampler = make_sampler(c.config(), c.where(), steps, options_of(c));
    add_timesteps(results, prefix + "timesteps", *sampler);
    results.add(prefix + "init_noise_sigma", {1}, {sampler->initial_sigma()});
    if (!sampler->sigmas().empty()) results.add(prefix + "sigmas", {int64_t(sampler->sigmas().size())}, sampler->sigmas());
    Tensor x = c.input(prefix + "noise_init");
    x = combine(sampler->initial_sigma(), x, 0, x);
    int64_t draws = 0;
    std::vector<Tensor> inputs, predictions, samples;
    for (size_t i = 0; i < sampler->timesteps().size(); ++i) {
      inputs.push_back(sampler->model_input(x));
      const auto noise = [&] {
        const int64_t index = noise_kind == "per_step" ? int64_t(i) : draws;
        ++draws;
        return slice(c.input(prefix + "step_noise"), 0, index, index + 1).reshape(x.shape());
      };
      x = sampler->step(fake_output(c, inputs.back(), sampler->timesteps()[i]), x, noise);
      if (!sampler->predicted().empty()) predictions.push_back(sampler->predicted());
      samples.push_back(x);
    }
    results.add(prefix + "scaled_input", stacked(inputs));
    if (first && !predictions.empty()) results.add(prefix + "pred_original_sample", stacked(predictions));
    results.add(prefix + "samples", stacked(samples));
    if (noise_kind == "per_draw") results.add_integers(prefix + "noise_draws", {1}, {draws});
    first = false;
  }
}

}  // namespace pyracast
