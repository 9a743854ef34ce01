#include <algorithm>

#include "parity/components.hpp"
#include "parity/text_to_video.hpp"

namespace pyracast {

namespace {

TextToVideoParts parts_of(const Case& c, bool v120) {
  const Weights transformer = c.weights("transformer"), vae = c.weights("vae");
  const Json config = c.config_part("transformer");
  const auto network = [&]() -> std::variant<Latte, OpenSoraT2v> {
    if (v120) return OpenSoraT2v(transformer, OpenSoraT2vConfig::from_json(config, c.where()));
    return Latte(transformer, LatteConfig::from_json(config, c.where()));
  };
  TextToVideoParts parts{.transformer = network(),
                         .decoder = {.vae = CausalVae(vae, CausalVaeConfig::from_json(c.config_part("vae"), c.where())),
                                     .scaling_factor = value<double>(c.call(), "scaling_factor", c.where())},
                         .scheduler = c.config_part("scheduler"), .scheduler_file = c.where(),
                         .padding = v120 ? Padding::masked : Padding::cut,
                         .stored = v120 ? StoredOutput::ungated : StoredOutput::gated};
  transformer.finish();
  vae.finish();
  if (value_or(c.call(), "enable_tiling", false, c.where())) parts.decoder.tiling = causal_vae_tiling(c.call().at("tiling"), c.where());
  return parts;
}

void run_pipeline(const Case& c, Results& results, bool v120) {
  const TeamChannels alone = lone_channels();
  const TextToVideoParts parts = parts_of(c, v120);
  const TextToVideo pipeline(parts, std::nullopt, c.backend(), alone);
  const PromptEmbeddings text = PromptEmbeddings{c.input("prompt_embeds"), c.input("negative_prompt_embeds"), c.input_integers("prompt_mask"),
                                                 c.input_integers("negative_prompt_mask")}.with(parts.padding);
  const Tensor used = concatenate({text.negatives, text.prompts}, 0);
  results.add("encoder_hidden_states_used", used.reshape({used.dim(0), 1, used.dim(1), used.dim(2)}));
  std::vector<int64_t> mask = text.negative_mask;
  mask.insert(mask.end(), text.mask.begin(), text.mask.end());
  if (v120) results.add_integers("encoder_attention_mask_used", {used.dim(0), 1, used.dim(1)}, mask);
  VideoRequest request;
  request.steps = value<int>(c.call(), "num_inference_steps", c.where());
  request.guidance = value<double>(c.call(), "guidance_scale", c.where());

  for (const std::string mode : {"pab_off", "pab_on"}) {
    const BroadcastPolicy policy = mode == "pab_on" ? BroadcastPolicy(c.call().at("pab"), c.where()) : BroadcastPolicy();
    results.add_computed(mode + ".computed", pipeline.schedule(request, policy), v120 ? single_block_branches() : latte_branches());
    const LoopTensors shown = loop_tensors(c, pipeline, text, request, policy);
    for (const auto& [name, value] : shown.of_the_first) results.add(concat(mode, '.', name, "_first"), value);
    results.add(mode + ".latents", stacked(shown.latents));
    const Tensor frames = pipeline.decode(shown.latents.back());   // [videos, frames, height, width, 3]
    results.add(mode + ".frames", permute(frames, {0, 1, 4, 2, 3}));
    const Tensor first_frames = slice(frames, 1, 0, std::min<int64_t>(8, frames.dim(1)));
    std::vector<int64_t> bytes;
    for (const float value : pyracast::shown(first_frames)) bytes.push_back(int64_t(value * 255));
    results.add_integers(mode + ".video_u8_first_frames", first_frames.shape(), bytes);
  }
  const std::vector<float> timesteps = pipeline.timesteps(request);
  const Shape count{int64_t(timesteps.size())};
  if (v120) results.add("timesteps", count, timesteps);
  else results.add_integers("timesteps", count, {timesteps.begin(), timesteps.end()});
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
