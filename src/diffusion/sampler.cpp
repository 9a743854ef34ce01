#include "diffusion/sampler.hpp"

#include <algorithm>
#include <cmath>

#include "diffusion/sampler_classes.hpp"

namespace pyracast {

namespace {

bool lists(const std::vector<std::string>& names, const std::string& key) { return std::find(names.begin(), names.end(), key) != names.end(); }

/// A class of diffusers: what makes it here, and the parameters of its constructor that a scheduler_config.json may hold.
struct SamplerClass {
  const char* name;
  std::unique_ptr<Sampler> (*make)(const Json& config, const std::string& where, int steps, const SamplerOptions& options);
  bool has_betas;    ///< has the keys of a table of betas as well
  std::vector<std::string> keys;
  std::vector<std::string> unsupported = {};   ///< parameters that must be switched off here

  bool knows(const std::string& key) const {
    static const std::vector<std::string> of_betas{"beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
                                                   "timestep_spacing", "steps_offset"};
    return key == "num_train_timesteps" || (has_betas && lists(of_betas, key)) || lists(keys, key) || lists(unsupported, key);
  }
};

const SamplerClass& class_of(const Json& config, const std::string& where) {
  static const std::vector<SamplerClass> classes{
      {"DDIMScheduler", make_ddim, true, {"clip_sample", "clip_sample_range", "set_alpha_to_one", "thresholding", "dynamic_thresholding_ratio",
                                          "sample_max_value", "rescale_betas_zero_snr"}},
      {"DDPMScheduler", make_ddpm, true, {"clip_sample", "clip_sample_range", "variance_type", "thresholding", "dynamic_thresholding_ratio",
                                          "sample_max_value", "rescale_betas_zero_snr"}},
      {"PNDMScheduler", make_pndm, true, {"skip_prk_steps", "set_alpha_to_one"}},
      {"EulerDiscreteScheduler", make_euler, true, {"interpolation_type", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                                                    "timestep_type", "rescale_betas_zero_snr", "final_sigmas_type"},
       {"sigma_min", "sigma_max"}},
      {"EulerAncestralDiscreteScheduler", make_euler_ancestral, true, {"rescale_betas_zero_snr"}},
      {"DPMSolverMultistepScheduler", make_dpm_solver, true,
       {"solver_order", "algorithm_type", "solver_type", "lower_order_final", "euler_at_final", "use_karras_sigmas", "use_exponential_sigmas",
        "use_beta_sigmas", "use_flow_sigmas", "flow_shift", "final_sigmas_type", "lambda_min_clipped", "rescale_betas_zero_snr",
        "dynamic_thresholding_ratio", "sample_max_value", "time_shift_type"},   // the last three belong to what must be off
       {"thresholding", "use_dynamic_shifting", "use_lu_lambdas", "variance_type"}},
      {"FlowMatchEulerDiscreteScheduler", make_flow_match, false,
       {"shift", "use_dynamic_shifting", "base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "invert_sigmas",
        "shift_terminal", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "time_shift_type", "stochastic_sampling"}}};
  const auto name = value<std::string>(config, "_class_name", where);
  const auto found = std::find_if(classes.begin(), classes.end(), [&](const SamplerClass& one) { return name == one.name; });
  if (found != classes.end()) return *found;
  std::string known;
  for (const SamplerClass& one : classes) known += concat(known.empty() ? "" : ", ", one.name);
  fail(where, ": _class_name is \"", name, "\", expected one of ", known);
}

bool is_off(const Json& item) { return item.is_null() || item == Json(false); }

}  // namespace

std::unique_ptr<Sampler> make_sampler(const Json& config, const std::string& where, int steps, const SamplerOptions& options) {
  const SamplerClass& chosen = class_of(config, where);
  require(options.eta == 0 || chosen.make == make_ddim, "eta is ", options.eta, ", which only DDIM has; the sampler is ", chosen.name);
  Json known = Json::object();   // what is dropped here no sampler can take by mistake
  for (const auto& [key, item] : config.items()) {
    require(!lists(chosen.unsupported, key) || is_off(item), where, ": \"", key, "\" is ", item.dump(), ", which is not supported of ",
            chosen.name, ": take it out or set it to null, or choose another sampler by --sampler");
    if (chosen.knows(key)) known[key] = item;
  }
  return chosen.make(known, where, steps, options);
}

std::vector<std::string> unused_sampler_keys(const Json& config, const std::string& where) {
  const SamplerClass& chosen = class_of(config, where);
  std::vector<std::string> unused;
  for (const auto& [key, item] : config.items())
    if (!chosen.knows(key) && !key.starts_with("_") && !is_off(item)) unused.push_back(key);
  return unused;
}

namespace {

/// A sampler's name for users, its class in diffusers, and how its clipping is switched off.
struct NamedSampler {
  const char* name;
  const char* class_name;
  bool clips;
};
constexpr NamedSampler named_samplers[] = {{"ddim", "DDIMScheduler", true},
                                           {"ddpm", "DDPMScheduler", true},
                                           {"pndm", "PNDMScheduler", false},
                                           {"euler", "EulerDiscreteScheduler", false},
                                           {"euler-ancestral", "EulerAncestralDiscreteScheduler", false},
                                           {"dpm-solver", "DPMSolverMultistepScheduler", false}};

}  // namespace

std::vector<std::string> sampler_names() {
  std::vector<std::string> names;
  for (const NamedSampler& sampler : named_samplers) names.push_back(sampler.name);
  return names;
}

Json with_sampler(const Json& config, const std::string& name) {
  const auto found = std::find_if(std::begin(named_samplers), std::end(named_samplers), [&](const NamedSampler& one) { return name == one.name; });
  require(found != std::end(named_samplers), "sampler is \"", name, "\", expected one of ", sampler_names());
  const std::string published = value_or<std::string>(config, "_class_name", "", "scheduler_config.json");
  require(published != "FlowMatchEulerDiscreteScheduler" && prediction_of(config, "scheduler_config.json") != Prediction::flow, "sampler is \"",
          name, "\", but this model predicts a flow (", published, "): only its own sampler fits it");
  Json chosen{{"_class_name", found->class_name}};
  for (const char* key : {"num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type"})
    if (config.contains(key)) chosen[key] = config.at(key);
  if (found->clips) chosen["clip_sample"] = false;
  return chosen;
}

Prediction prediction_of(const Json& config, const std::string& where) {
  const auto name = value_or<std::string>(config, "prediction_type", "epsilon", where);
  if (name == "epsilon") return Prediction::epsilon;
  if (name == "sample") return Prediction::sample;
  if (name == "v_prediction") return Prediction::v;
  require(name == "flow_prediction", where, ": prediction_type is \"", name, "\", expected epsilon, sample, v_prediction or flow_prediction");
  return Prediction::flow;
}

Tensor clamped(const Tensor& x, float limit) {
  std::vector<float> values = x.to_host();
  for (float& value : values) value = std::clamp(value, -limit, limit);
  return Tensor(x.backend(), x.shape(), values);
}

SampleLimit::SampleLimit(const Json& config, const std::string& where)
    : thresholding_(value_or(config, "thresholding", false, where)), clip_(value_or(config, "clip_sample", true, where)),
      ratio_(value_or(config, "dynamic_thresholding_ratio", 0.995, where)), most_(value_or(config, "sample_max_value", 1.0, where)),
      range_(value_or(config, "clip_sample_range", 1.0, where)) {}

Tensor SampleLimit::operator()(const Tensor& x0) const {
  if (!thresholding_) return clip_ ? clamped(x0, float(range_)) : x0;
  std::vector<float> values = x0.to_host();
  const size_t each = values.size() / size_t(x0.dim(0));
  for (size_t start = 0; start < values.size(); start += each) {
    std::vector<float> sizes;
    for (size_t i = start; i < start + each; ++i) sizes.push_back(std::abs(values[i]));
    std::sort(sizes.begin(), sizes.end());
    const double at = ratio_ * double(each - 1);
    const size_t low = size_t(at), high = std::min(low + 1, each - 1);
    const float quantile = sizes[low] + float(at - double(low)) * (sizes[high] - sizes[low]);
    const float limit = std::clamp(quantile, 1.f, float(most_));
    for (size_t i = start; i < start + each; ++i) values[i] = std::clamp(values[i], -limit, limit) / limit;
  }
  return Tensor(x0.backend(), x0.shape(), values);
}

}  // namespace pyracast
