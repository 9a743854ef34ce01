#include "diffusion/rectified_flow.hpp"
#include "diffusion/sampler.hpp"
#include "pab/broadcast_policy.hpp"
#include "parity/components.hpp"

namespace pyracast {

namespace {

/// 1 where a branch is computed, 0 where it is reused: [evaluations, blocks, branches].
void add_trace(Results& results, const std::string& name, const BroadcastSchedule& schedule, const std::vector<Branch>& branches, int first,
               int count) {
  std::vector<int64_t> trace;
  for (int e = first; e < first + count; ++e)
    for (int block = 0; block < schedule.blocks(); ++block)
      for (const Branch branch : branches) trace.push_back(!schedule.reuses(e, {branch, block}));
  results.add_integers(name, {count, schedule.blocks(), int64_t(branches.size())}, trace);
}

PabSettings settings_of(const Json& call, const Case& c) {
  const char* key = call.contains("pab_diffusers") ? "pab_diffusers" : "pab";
  return pab_settings(value<Json>(call, key, c.where()), c.where());
}

void add_sampler_timesteps(Results& results, const std::string& name, const Sampler& sampler) {
  const Shape shape{int64_t(sampler.timesteps().size())};
  if (sampler.has_integer_timesteps()) results.add_integers(name, shape, {sampler.timesteps().begin(), sampler.timesteps().end()});
  else results.add(name, shape, sampler.timesteps());
}

void trace_open_sora(const Case& c, Results& results) {
  const int steps = value<int>(c.call(), "num_inference_steps", c.where());
  const int videos = value_or(c.call(), "videos_in_a_row", 1, c.where());
  const int blocks = value<int>(c.call(), "num_layers", c.where());
  const auto size = value<std::vector<double>>(c.call(), "image_size", c.where());
  const auto dtype = value<std::string>(c.call(), "dtype", c.where()) == "bfloat16" ? DType::bfloat16 : DType::float32;
  const auto schedule = rectified_flow_schedule(
      {.steps = steps}, {size.at(0), size.at(1), value<double>(c.call(), "num_frames", c.where())}, dtype);
  const std::vector<int64_t> all_timesteps = schedule.integer_timesteps();
  std::vector<int64_t> seen;
  std::vector<float> timesteps;
  for (int v = 0; v < videos; ++v) {
    seen.insert(seen.end(), all_timesteps.begin(), all_timesteps.end());
    timesteps.insert(timesteps.end(), schedule.timesteps.begin(), schedule.timesteps.end());
  }
  const BroadcastSchedule broadcast = pyramid_schedule(settings_of(c.call(), c), seen, blocks, steps);
  results.add_integers("all_timesteps", {steps}, all_timesteps);
  results.add("timesteps", {videos * steps}, timesteps);
  results.add_integers("timesteps_int", {videos * steps}, seen);
  add_trace(results, "trace", broadcast, {Branch::spatial_attention, Branch::temporal_attention, Branch::spatial_cross, Branch::temporal_cross,
                                          Branch::spatial_mlp, Branch::temporal_mlp}, 0, videos * steps);
}

/// Latte's and Open-Sora-Plan v1.1's kinds, or v1.2's, whose one attention stands as the spatial one.
std::vector<Branch> branches_of(const Case& c) {
  const size_t kinds = value<Json>(c.call(), "kinds", c.where()).size();
  if (kinds == 3) return {Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp};
  return {Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp, Branch::temporal_attention, Branch::temporal_mlp};
}

void trace_latte(const Case& c, Results& results) {
  const Json& steps = c.call().at("num_inference_steps");
  const int blocks = value<int>(c.call(), "num_layers", c.where());
  const auto one = [&](int count, const std::string& prefix) {
    const auto sampler = make_sampler(c.config_part("scheduler"), c.where(), count);
    const std::vector<int64_t> timesteps(sampler->timesteps().begin(), sampler->timesteps().end());
    const BroadcastSchedule schedule = pyramid_schedule(settings_of(c.call(), c), timesteps, blocks, count);
    add_sampler_timesteps(results, prefix + "timesteps", *sampler);
    add_trace(results, prefix + "computed", schedule, branches_of(c), 0, count);
    if (c.call().contains("pab_diffusers")) add_trace(results, prefix + "computed_second_call", schedule, branches_of(c), 0, count);
  };
  if (steps.is_number()) return one(steps.get<int>(), "");
  for (size_t run = 0; run < steps.size(); ++run) one(steps[run].get<int>(), concat("run", run, '.'));
}

void trace_open_sora_plan(const Case& c, Results& results) {
  for (const Json& run : c.call().at("runs")) {
    const auto name = value<std::string>(run, "name", c.where());
    const int steps = value<int>(run, "num_inference_steps", c.where()), videos = value<int>(run, "videos_in_a_row", c.where());
    const auto sampler = make_sampler(c.config_part("scheduler"), c.where(), steps);
    const int evaluations = int(sampler->timesteps().size());
    std::vector<int64_t> timesteps;
    for (int v = 0; v < videos; ++v) timesteps.insert(timesteps.end(), sampler->timesteps().begin(), sampler->timesteps().end());
    const BroadcastSchedule schedule =
        pyramid_schedule(settings_of(run, c), timesteps, value<int>(run, "num_layers", c.where()), steps, 0, evaluations);
    for (int v = 0; v < videos; ++v) {
      const std::string video = videos > 1 ? concat(name, ".video", v, '.') : name + '.';
      add_sampler_timesteps(results, video + "timesteps", *sampler);
      add_trace(results, video + "computed", schedule, branches_of(c), v * evaluations, evaluations);
    }
  }
}

}  // namespace

void run_pab_trace(const Case& c, Results& results) {
  const auto model = value<std::string>(c.call(), "model", c.where());
  if (model == "opensora") return trace_open_sora(c, results);
  if (model == "latte") return trace_latte(c, results);
  if (model == "osp110" || model == "osp120") return trace_open_sora_plan(c, results);
  fail(c.where(), ": the model \"", model, "\" is not known (known are opensora, latte, osp110, osp120)");
}

}  // namespace pyracast
