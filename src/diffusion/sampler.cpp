#include "diffusion/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "diffusion/sampler_classes.hpp"

namespace pyracast {

std::unique_ptr<Sampler> make_sampler(const Json& config, const std::string& where, int steps, const SamplerOptions& options) {
  using Make = std::unique_ptr<Sampler> (*)(const Json&, const std::string&, int, const SamplerOptions&);
  static const std::map<std::string, Make> samplers{{"DDIMScheduler", make_ddim},
                                                    {"DDPMScheduler", make_ddpm},
                                                    {"PNDMScheduler", make_pndm},
                                                    {"EulerDiscreteScheduler", make_euler},
                                                    {"EulerAncestralDiscreteScheduler", make_euler_ancestral},
                                                    {"DPMSolverMultistepScheduler", make_dpm_solver},
                                                    {"FlowMatchEulerDiscreteScheduler", make_flow_match}};
  const auto name = value<std::string>(config, "_class_name", where);
  const auto found = samplers.find(name);
  require(options.eta == 0 || name == "DDIMScheduler", "eta is ", options.eta, ", which only DDIM has; the sampler is ", name);
  if (found != samplers.end()) return found->second(config, where, steps, options);
  std::string known;
  for (const auto& [other, make] : samplers) known += (known.empty() ? "" : ", ") + other;
  fail(where, ": _class_name is \"", name, "\", expected one of ", known);
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

void check_sampler_keys(const Json& config, const std::string& where, std::initializer_list<const char*> known) {
  for (const auto& [key, item] : config.items()) {
    const bool listed = std::find_if(known.begin(), known.end(), [&](const char* name) { return key == name; }) != known.end();
    require(listed || key == "_class_name" || key == "_diffusers_version" || item.is_null() || item == Json(false), where, ": \"", key,
            "\" is ", item.dump(), ", which this sampler does not know: take it out, or set it to null");
  }
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
