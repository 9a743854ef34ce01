#include "diffusion/rectified_flow.hpp"
#include "parity/components.hpp"

namespace pyracast {

namespace {

RectifiedFlowSettings settings_of(const Json& config, int steps, const std::string& where) {
  RectifiedFlowSettings settings;
  settings.steps = steps;
  settings.num_timesteps = value_or(config, "num_timesteps", 1000, where);
  settings.use_discrete_timesteps = value_or(config, "use_discrete_timesteps", false, where);
  settings.use_timestep_transform = value_or(config, "use_timestep_transform", true, where);
  return settings;
}

constexpr double video_fps = 24, image_fps = 120;

DType dtype_of(const Json& json, const std::string& where) {
  const auto name = value<std::string>(json, "dtype", where);
  require(name == "float32" || name == "bfloat16", where, ": dtype is \"", name, "\", expected float32 or bfloat16");
  return name == "bfloat16" ? DType::bfloat16 : DType::float32;
}

ClipSize clip_of(const Json& json, const std::string& where) {
  const auto size = value<std::vector<double>>(json, "image_size", where);
  require(size.size() == 2, where, ": image_size is ", size, ", expected [height, width]");
  return {size[0], size[1], value<double>(json, "num_frames", where)};
}

/// Row b's mean.
float mean_of_row(const std::vector<float>& values, int64_t rows, int64_t row) {
  const int64_t n = int64_t(values.size()) / rows;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += values[size_t(row * n + i)];
  return float(sum / double(n));
}

/// The case's stand-in for a network: v = 0.3 x + 0.2 roll(x, +1 along the width) - 0.15 t / 1000 + mean of the
/// caption, halved where a frame is known.
Tensor fake_network(const Tensor& x, float timestep, const std::vector<float>& means,
                    const std::vector<int64_t>& generated) {
  const Shape& shape = x.shape();
  const int64_t frames = shape[2], width = shape[4], plane = shape[3] * width, channels = shape[1];
  const std::vector<float> in = x.to_host();
  std::vector<float> out(in.size());
  for (int64_t i = 0; i < int64_t(in.size()); ++i) {
    const int64_t column = i % width, left = column ? i - 1 : i + width - 1;
    const int64_t b = i / (plane * frames * channels), frame = i / plane % frames;
    float v = 0.3f * in[size_t(i)] + 0.2f * in[size_t(left)] - 0.15f * timestep / 1000 + means[size_t(b)];
    if (!generated.empty() && !generated[size_t(b * frames + frame)]) v *= 0.5f;
    out[size_t(i)] = v;
  }
  return Tensor(x.backend(), shape, out);
}

}  // namespace

void run_rflow_timesteps(const Case& c, Results& results) {
  for (const Json& combo : c.call().at("combos")) {
    const std::string index = std::to_string(value<int>(combo, "index", c.where()));
    const int steps = value<int>(combo, "num_sampling_steps", c.where());
    const ClipSize size = clip_of(combo, c.where());
    const DType dtype = dtype_of(combo, c.where());
    const double fps = size.frames == 1 ? image_fps : value_or(c.call(), "fps", video_fps, c.where());
    std::vector<float> info;
    for (const double number : {size.height, size.width, size.frames, size.height / size.width, fps})
      info.push_back(dtype == DType::bfloat16 ? round_to_bfloat16(float(number)) : float(number));
    const auto schedule = rectified_flow_schedule(settings_of(c.config(), steps, c.where()), size, dtype);
    results.add("info_" + index, {5}, info);
    results.add("timesteps_" + index, {steps}, schedule.timesteps);
    results.add("model_timesteps_" + index, {steps}, schedule.model_timesteps);
    results.add_integers("all_timesteps_" + index, {steps}, schedule.integer_timesteps());
  }
}

void run_scheduler_rflow(const Case& c, Results& results) {
  const int steps = value<int>(c.config(), "num_sampling_steps", c.where());
  const RectifiedFlowSettings settings = settings_of(c.config(), steps, c.where());
  const float guidance = value<float>(c.call(), "guidance_scale", c.where());
  Tensor z = c.input("z");
  const int64_t batch = z.dim(0), frames = z.dim(2);
  const ClipSize size{c.input_floats("height")[0], c.input_floats("width")[0], c.input_floats("num_frames")[0]};
  const auto schedule = rectified_flow_schedule(settings, size, DType::float32);

  std::vector<float> means;
  for (const char* name : {"y", "y_null"})
    for (int64_t b = 0; b < batch; ++b) means.push_back(mean_of_row(c.input_floats(name), batch, b));
  const bool masked = c.has_input("mask");
  FrameMask mask(masked ? c.input_floats("mask") : std::vector<float>(size_t(batch * frames), 1), batch,
                 settings.num_timesteps);

  std::vector<float> timesteps;
  std::vector<int64_t> frame_masks;
  std::vector<Tensor> inputs, latents;
  for (int i = 0; i < steps; ++i) {
    const float t = schedule.timesteps[size_t(i)];
    timesteps.insert(timesteps.end(), size_t(batch), t);
    std::vector<int64_t> generated;
    if (masked) {
      const Tensor noise = c.input("add_noise");
      z = mask.renoised(z, [&] { return slice(noise, 0, i, i + 1).reshape(z.shape()); }, t);
      for (int half = 0; half < 2; ++half)
        for (const int64_t g : mask.frames_generated(t)) generated.push_back(g);
      frame_masks.insert(frame_masks.end(), generated.begin(), generated.end());
    }
    const Tensor x = repeat(z, 0, 2);
    inputs.push_back(x);
    const Tensor v = fake_network(x, t, means, generated);
    const Tensor velocity = guided(slice(v, 0, 0, batch), slice(v, 0, batch, 2 * batch), guidance);
    const Tensor updated = combine(1, z, schedule.step_size(i), velocity);
    z = masked ? mask.restored(updated, z, t) : updated;
    latents.push_back(z);
  }
  if (settings.use_discrete_timesteps)
    results.add_integers("timesteps", {steps, batch}, {timesteps.begin(), timesteps.end()});
  else
    results.add("timesteps", {steps, batch}, timesteps);
  if (masked) results.add_integers("x_mask", {steps, 2 * batch, frames}, frame_masks);
  results.add("model_input", stacked(inputs));
  results.add("latents_after_step", stacked(latents));
  results.add("final", z);
}

}  // namespace pyracast
