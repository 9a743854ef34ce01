#include "parity/components.hpp"
#include "pipeline/latte.hpp"

namespace pyracast {

namespace {

LatteTokens tokens_of(const Case& c, const std::string& prefix) {
  const Shape shape = c.input_shape(prefix + "input_ids");
  return {shape[0], shape[1], c.input_integers(prefix + "input_ids"), c.input_integers(prefix + "attention_mask"),
          c.input_integers(prefix + "negative_input_ids"), c.input_integers(prefix + "negative_attention_mask")};
}

/// A pipeline from the case's parts; those that a component does not need may be absent.
LatteParts parts_of(const Case& c) {
  const Weights text_encoder = c.weights("text_encoder"), transformer = c.weights("transformer");
  LatteParts parts{T5Encoder(text_encoder, T5Config::from_json(c.config_part("text_encoder"), c.where())),
                   Latte(transformer, LatteConfig::from_json(c.config_part("transformer"), c.where())), {}, 0.18215, c.config_part("scheduler")};
  text_encoder.finish();
  transformer.finish();
  if (!c.has_weights("vae")) return parts;
  const Weights vae = c.weights("vae");
  const Json config = c.config_part("vae");
  parts.scaling_factor = value_or(config, "scaling_factor", parts.scaling_factor, c.where());
  const AutoencoderKlConfig read = AutoencoderKlConfig::from_json(config, c.where());
  if (value<std::string>(config, "_class_name", c.where()) == "AutoencoderKLTemporalDecoder") parts.vae = AutoencoderKlTemporalDecoder(vae, read);
  else parts.vae = AutoencoderKl(vae, read, AutoencoderParts::decoder);
  vae.finish();
  return parts;
}

}  // namespace

void run_latte_encode_prompt(const Case& c, Results& results) {
  const Weights weights = c.weights("text_encoder");
  const T5Encoder encoder(weights, T5Config::from_json(c.config_part("text_encoder"), c.where()));
  weights.finish();
  for (const auto& [name, variant] : c.call().at("variants").items()) {
    const bool guidance = value<bool>(variant, "guidance", c.where());
    const LatteText text = encode_latte_prompts(encoder, tokens_of(c, name + "."), value<bool>(variant, "mask_feature", c.where()),
                                                value<int>(variant, "num_images_per_prompt", c.where()), guidance);
    results.add(name + ".prompt_embeds", text.prompts);
    if (guidance) results.add(name + ".negative_prompt_embeds", text.negatives);
  }
}

void run_pipeline_latte(const Case& c, Results& results) {
  const auto alone = make_lone_communicator();
  const LatteParts parts = parts_of(c);
  const LattePipeline pipeline(parts, *alone);
  LatteRequest request{value<int>(c.call(), "num_inference_steps", c.where()), value<double>(c.call(), "guidance_scale", c.where()),
                       value_or(c.call(), "eta", 0.0, c.where())};
  const char* policy = c.call().contains("pab_diffusers") ? "pab_diffusers" : "pab";
  request.broadcast = BroadcastPolicy(value_or(c.call(), policy, Json(), c.where()), c.where());

  const LatteText text = encode_latte_prompts(parts.text_encoder, tokens_of(c, ""), value_or(c.call(), "mask_feature", true, c.where()), 1,
                                              request.guidance > 1);
  const auto check = [&](const char* name, const Tensor& got) {   // given beside the ids, so that the loop can be checked alone
    const std::vector<float> expected = c.input_floats(name), values = got.to_host();
    require(c.input_shape(name) == got.shape(), c.where(), ": ", name, " is ", got.shape(), ", expected ", c.input_shape(name));
    for (size_t i = 0; i < values.size(); ++i)
      require(std::abs(values[i] - expected[i]) < 1e-3, c.where(), ": ", name, " differs at element ", i);
  };
  check("prompt_embeds", text.prompts);
  if (request.guidance > 1) check("negative_prompt_embeds", text.negatives);

  const BroadcastSchedule schedule = pipeline.schedule(request);
  std::vector<int64_t> computed;
  for (int e = 0; e < schedule.evaluations(); ++e)
    for (int block = 0; block < schedule.blocks(); ++block)
      for (const Branch branch : latte_branches()) computed.push_back(!schedule.reuses(e, {branch, block}));
  results.add_integers("computed", {schedule.evaluations(), schedule.blocks(), int64_t(latte_branches().size())}, computed);
  const auto sampler = make_sampler(parts.scheduler, c.where(), request.steps);
  results.add_integers("timesteps", {int64_t(sampler->timesteps().size())}, {sampler->timesteps().begin(), sampler->timesteps().end()});

  std::vector<Tensor> steps;
  const Tensor latents = pipeline.denoise(c.input("latents"), text, request, Observer([&](const std::string& name, const Tensor& value) {
    if (name == "latents") steps.push_back(value);
  }));
  results.add("step_latents", stacked(steps));
  if (!c.has_weights("vae")) return;
  const Tensor frames = pipeline.decode(latents, value<int64_t>(c.call(), "decode_chunk_size", c.where()));
  results.add("frames", frames);
  std::vector<int64_t> bytes;
  for (const float value : frames.to_host()) bytes.push_back(int64_t(value * 255));
  results.add_integers("frames_uint8_videosys", frames.shape(), bytes);
}

}  // namespace pyracast
