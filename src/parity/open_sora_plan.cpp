#include "parity/components.hpp"
#include "pipeline/open_sora_plan.hpp"

namespace pyracast {

namespace {

OpenSoraPlanParts parts_of(const Case& c, bool v120) {
  const Weights transformer = c.weights("transformer"), vae = c.weights("vae");
  const Json config = c.config_part("transformer");
  const auto network = [&]() -> std::variant<Latte, OpenSoraT2v> {
    if (v120) return OpenSoraT2v(transformer, OpenSoraT2vConfig::from_json(config, c.where()));
    return Latte(transformer, LatteConfig::from_json(config, c.where()));
  };
  OpenSoraPlanParts parts{network(), CausalVae(vae, CausalVaeConfig::from_json(c.config_part("vae"), c.where())),
                          value<double>(c.call(), "scaling_factor", c.where()), std::nullopt, c.config_part("scheduler")};
  transformer.finish();
  vae.finish();
  if (value_or(c.call(), "enable_tiling", false, c.where())) parts.tiling = causal_vae_tiling(c.call().at("tiling"), c.where());
  return parts;
}

void run_pipeline(const Case& c, Results& results, bool v120) {
  const auto alone = make_lone_communicator();
  const OpenSoraPlan pipeline(parts_of(c, v120), *alone);
  const OpenSoraPlanConditioning conditioning = pipeline.conditioning(
      {c.input("prompt_embeds"), c.input("negative_prompt_embeds"), c.input_integers("prompt_mask"), c.input_integers("negative_prompt_mask")});
  const Tensor& text = conditioning.text;
  results.add("encoder_hidden_states_used", text.reshape({text.dim(0), 1, text.dim(1), text.dim(2)}));
  if (v120) results.add_integers("encoder_attention_mask_used", {text.dim(0), 1, text.dim(1)}, conditioning.mask);
  const Tensor noise = c.input("latents");
  const auto fresh_noise = [&](int evaluation) {
    return slice(c.input("step_noise"), 0, evaluation, evaluation + 1).reshape(noise.shape());
  };
  const std::vector<Branch> branches = v120 ? std::vector<Branch>{Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp} : latte_branches();

  for (const std::string mode : {"pab_off", "pab_on"}) {
    OpenSoraPlanRequest request{value<int>(c.call(), "num_inference_steps", c.where()), value<double>(c.call(), "guidance_scale", c.where())};
    if (mode == "pab_on") request.broadcast = BroadcastPolicy(c.call().at("pab"), c.where());
    const BroadcastSchedule schedule = pipeline.schedule(request);
    std::vector<int64_t> computed;
    for (int e = 0; e < schedule.evaluations(); ++e)
      for (int block = 0; block < schedule.blocks(); ++block)
        for (const Branch branch : branches) computed.push_back(!schedule.reuses(e, {branch, block}));
    results.add_integers(mode + ".computed", {schedule.evaluations(), schedule.blocks(), int64_t(branches.size())}, computed);

    std::vector<Tensor> steps;
    bool first = true;
    const Tensor latents = pipeline.denoise(noise, conditioning, request, fresh_noise, Observer([&](const std::string& name, const Tensor& value) {
      if (name == "latents") {
        steps.push_back(value);
        first = false;
      } else if (first) {
        results.add(concat(mode, '.', name, "_first"), value);
      }
    }));
    results.add(mode + ".latents", stacked(steps));
    const Tensor frames = pipeline.decode(latents);   // [videos, frames, height, width, 3]
    results.add(mode + ".frames", permute(frames, {0, 1, 4, 2, 3}));
    const Tensor shown = slice(frames, 1, 0, std::min<int64_t>(8, frames.dim(1)));
    std::vector<int64_t> bytes;
    for (const float value : shown.to_host()) bytes.push_back(int64_t(std::clamp(value / 2 + 0.5f, 0.f, 1.f) * 255));
    results.add_integers(mode + ".video_u8_first_frames", shown.shape(), bytes);
  }
  const auto sampler = make_sampler(c.config_part("scheduler"), c.where(), value<int>(c.call(), "num_inference_steps", c.where()));
  const Shape count{int64_t(sampler->timesteps().size())};
  if (v120) results.add("timesteps", count, sampler->timesteps());
  else results.add_integers("timesteps", count, {sampler->timesteps().begin(), sampler->timesteps().end()});
}

}  // namespace

std::optional<CausalVaeTiling> causal_vae_tiling(const Json& json, const std::string& where) {
  if (json.is_null()) return std::nullopt;
  return CausalVaeTiling{value<int64_t>(json, "tile_sample_min_size", where), value<int64_t>(json, "tile_latent_min_size", where),
                         value<int64_t>(json, "tile_sample_min_size_t", where), value<int64_t>(json, "tile_latent_min_size_t", where),
                         value<double>(json, "tile_overlap_factor", where)};
}

void run_pipeline_osp110(const Case& c, Results& results) { run_pipeline(c, results, false); }
void run_pipeline_osp120(const Case& c, Results& results) { run_pipeline(c, results, true); }

}  // namespace pyracast
