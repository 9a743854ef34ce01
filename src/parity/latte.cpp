#include "parity/components.hpp"
#include "parity/text_to_video.hpp"

namespace pyracast {

namespace {

/// The ids of one half's prompts [prompts, length], encoded; each `copies` times, one behind the other, with its mask.
std::pair<Tensor, std::vector<int64_t>> encoded(const Case& c, const T5Encoder& encoder, const std::string& ids, const std::string& mask,
                                                int copies) {
  const std::vector<int64_t> kept = c.input_integers(mask);
  const int64_t prompts = c.input_shape(ids)[0], length = c.input_shape(ids)[1];
  const Tensor each = encoder(c.input_integers(ids), kept, prompts);
  std::vector<Tensor> rows;
  std::vector<int64_t> masks;
  for (int64_t prompt = 0; prompt < prompts; ++prompt)
    for (int copy = 0; copy < copies; ++copy) {
      rows.push_back(slice(each, 0, prompt, prompt + 1));
      masks.insert(masks.end(), kept.begin() + prompt * length, kept.begin() + (prompt + 1) * length);
    }
  return {concatenate(rows, 0), masks};
}

PromptEmbeddings embeddings(const Case& c, const T5Encoder& encoder, const std::string& prefix, bool mask_feature, int videos_a_prompt,
                            bool guidance) {
  PromptEmbeddings text;
  std::tie(text.prompts, text.mask) = encoded(c, encoder, prefix + "input_ids", prefix + "attention_mask", videos_a_prompt);
  if (guidance) text.negatives = encoded(c, encoder, prefix + "negative_input_ids", prefix + "negative_attention_mask", videos_a_prompt).first;
  if (mask_feature) return text.with(Padding::cut);
  text.mask.clear();   // Latte is never given one
  return text;
}

T5Encoder encoder_of(const Case& c) {
  const Weights weights = c.weights("text_encoder");
  T5Encoder encoder(weights, T5Config::from_json(c.config_part("text_encoder"), c.where()));
  weights.finish();
  return encoder;
}

/// The VAE of the case; one that a case without pictures has not to give.
VideoDecoder decoder_of(const Case& c) {
  const Json config = c.config_part("vae");
  const AutoencoderKlConfig read = AutoencoderKlConfig::from_json(config, c.where());
  const double scaling_factor = value_or(config, "scaling_factor", 0.18215, c.where());
  const int64_t chunk = value_or(c.call(), "decode_chunk_size", int64_t(14), c.where());
  const Weights vae = c.weights("vae");
  const bool temporal = value<std::string>(config, "_class_name", c.where()) == "AutoencoderKLTemporalDecoder";
  VideoDecoder decoder = temporal ? VideoDecoder{AutoencoderKlTemporalDecoder(vae, read), scaling_factor, chunk}
                                  : VideoDecoder{AutoencoderKl(vae, read, AutoencoderParts::decoder), scaling_factor};
  vae.finish();
  return decoder;
}

}  // namespace

void run_latte_encode_prompt(const Case& c, Results& results) {
  const T5Encoder encoder = encoder_of(c);
  for (const auto& [name, variant] : c.call().at("variants").items()) {
    const bool guidance = value<bool>(variant, "guidance", c.where());
    const PromptEmbeddings text = embeddings(c, encoder, name + ".", value<bool>(variant, "mask_feature", c.where()),
                                             value<int>(variant, "num_images_per_prompt", c.where()), guidance);
    results.add(name + ".prompt_embeds", text.prompts);
    if (guidance) results.add(name + ".negative_prompt_embeds", text.negatives);
  }
}

void run_pipeline_latte(const Case& c, Results& results) {
  const Weights transformer = c.weights("transformer");
  TextToVideoParts parts{.transformer = Latte(transformer, LatteConfig::from_json(c.config_part("transformer"), c.where())),
                         .scheduler = c.config_part("scheduler"), .scheduler_file = c.where()};
  transformer.finish();
  if (c.has_weights("vae")) parts.decoder = decoder_of(c);
  const TeamChannels alone = lone_channels();
  const TextToVideo pipeline(std::move(parts), std::nullopt, c.backend(), alone);
  VideoRequest request;
  request.steps = value<int>(c.call(), "num_inference_steps", c.where());
  request.guidance = value<double>(c.call(), "guidance_scale", c.where());
  request.eta = value_or(c.call(), "eta", 0.0, c.where());

  const PromptEmbeddings text = embeddings(c, encoder_of(c), "", value_or(c.call(), "mask_feature", true, c.where()), 1, request.guidance > 1);
  results.add_given("prompt_embeds", text.prompts);   // given beside the ids, so that the loop can be checked alone
  if (request.guidance > 1) results.add_given("negative_prompt_embeds", text.negatives);

  const BroadcastPolicy policy(value_or(c.call(), c.call().contains("pab_diffusers") ? "pab_diffusers" : "pab", Json(), c.where()), c.where());
  results.add_computed("computed", pipeline.schedule(request, policy), latte_branches());
  const std::vector<float> timesteps = pipeline.timesteps(request);
  results.add_integers("timesteps", {int64_t(timesteps.size())}, {timesteps.begin(), timesteps.end()});
  const LoopTensors shown = loop_tensors(c, pipeline, text, request, policy);
  results.add("step_latents", stacked(shown.latents));
  if (!c.has_weights("vae")) return;
  const Tensor pictures = pipeline.decode(shown.latents.back());
  const std::vector<float> frames = pyracast::shown(pictures);
  results.add("frames", pictures.shape(), frames);
  std::vector<int64_t> bytes;
  for (const float value : frames) bytes.push_back(int64_t(value * 255));
  results.add_integers("frames_uint8_videosys", pictures.shape(), bytes);
}

}  // namespace pyracast
