#include "diffusion/rectified_flow.hpp"
#include "pab/broadcast_policy.hpp"
#include "parity/components.hpp"

namespace pyracast {

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
