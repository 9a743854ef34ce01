#include "parity/pab.hpp"

#include "diffusion/rectified_flow.hpp"
#include "parity/components.hpp"

namespace pyracast {

namespace {

BroadcastRange range_of(const Json& json, const std::string& kind, const std::string& where) {
  BroadcastRange range;
  range.enabled = value_or(json, (kind + "_broadcast").c_str(), false, where);
  if (!range.enabled) return range;
  range.range = value<int>(json, (kind + "_range").c_str(), where);
  const auto window = value<std::vector<int64_t>>(json, (kind + "_threshold").c_str(), where);
  require(range.range > 0 && window.size() == 2, where, ": ", kind, "_range must be positive, ", kind, "_threshold [low, high]");
  range.low = window[0];
  range.high = window[1];
  return range;
}

std::vector<MlpBroadcast> mlp_keys(const Json& json, const char* name, const std::string& where) {
  std::vector<MlpBroadcast> keys;
  if (!json.contains(name) || json.at(name).is_null()) return keys;
  for (const auto& [timestep, entry] : json.at(name).items())
    keys.push_back({std::stoll(timestep), value<std::vector<int>>(entry, "block", where), value<int>(entry, "skip_count", where)});
  return keys;
}

}  // namespace

PabSettings pab_settings(const Json& json, const std::string& where) {
  PabSettings settings;
  if (json.is_null()) return settings;
  settings.spatial = range_of(json, "spatial", where);
  settings.temporal = range_of(json, "temporal", where);
  settings.cross = range_of(json, "cross", where);
  settings.mlp = value_or(json, "mlp_broadcast", false, where);
  settings.spatial_mlp = mlp_keys(json, "mlp_spatial_broadcast_config", where);
  settings.temporal_mlp = mlp_keys(json, "mlp_temporal_broadcast_config", where);
  return settings;
}

void run_pab_trace(const Case& c, Results& results) {
  const auto model = value<std::string>(c.call(), "model", c.where());
  require(model == "opensora", c.where(), ": the model \"", model, "\" is not known (known is opensora)");
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
  const BroadcastSchedule broadcast =
      pyramid_schedule(pab_settings(value<Json>(c.call(), "pab", c.where()), c.where()), seen, blocks, steps);
  std::vector<int64_t> trace;
  for (int e = 0; e < broadcast.evaluations(); ++e)
    for (int block = 0; block < blocks; ++block)
      for (int branch = 0; branch < branch_count; ++branch) trace.push_back(!broadcast.reuses(e, {Branch(branch), block}));
  results.add_integers("all_timesteps", {steps}, all_timesteps);
  results.add("timesteps", {videos * steps}, timesteps);
  results.add_integers("timesteps_int", {videos * steps}, seen);
  results.add_integers("trace", {videos * steps, blocks, branch_count}, trace);
}

}  // namespace pyracast
