#include "pipeline/latte.hpp"

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "pipeline/guided_denoising.hpp"
#include "pipeline/prompt_padding.hpp"
#include "plan/video_plan.hpp"

namespace pyracast {

namespace {

/// Each row `copies` times, one behind the other.
Tensor repeated_rows(const Tensor& x, int copies) {
  std::vector<Tensor> rows;
  for (int64_t row = 0; row < x.dim(0); ++row) rows.push_back(repeat(slice(x, 0, row, row + 1), 0, copies));
  return concatenate(rows, 0);
}

}  // namespace

LatteText encode_latte_prompts(const T5Encoder& encoder, const LatteTokens& tokens, bool mask_feature, int videos_a_prompt, bool guidance) {
  LatteText text;
  text.prompts = repeated_rows(encoder(tokens.ids, tokens.mask, tokens.prompts), videos_a_prompt);
  if (guidance) text.negatives = repeated_rows(encoder(tokens.negative_ids, tokens.negative_mask, tokens.prompts), videos_a_prompt);
  if (!mask_feature) return text;
  if (text.prompts.dim(0) > 1) {
    text.prompts = without_padding(text.prompts, tokens.mask, videos_a_prompt);
    return text;
  }
  const int64_t kept = std::accumulate(tokens.mask.begin(), tokens.mask.end(), int64_t(0));
  text.prompts = slice(text.prompts, 1, 0, kept);
  if (guidance) text.negatives = slice(text.negatives, 1, 0, kept);
  return text;
}

BroadcastSchedule LattePipeline::schedule(const LatteRequest& request) const {
  const auto sampler = make_sampler(parts_.scheduler, "scheduler", request.steps, {.eta = request.eta});
  const std::vector<int64_t> timesteps(sampler->timesteps().begin(), sampler->timesteps().end());
  return request.broadcast.schedule(timesteps, int(parts_.transformer.config().layers), request.steps);
}

Tensor LattePipeline::denoise(const Tensor& noise, const LatteText& text, const LatteRequest& request, const Observer& observe) const {
  const auto sampler = make_sampler(parts_.scheduler, "scheduler", request.steps, {.eta = request.eta});
  const bool guidance = request.guidance > 1;
  require(!guidance || !text.negatives.empty(), "guidance ", request.guidance, " needs the negative prompt's embeddings");
  const LatteCaption caption = parts_.transformer.embed_caption(guidance ? concatenate({text.negatives, text.prompts}, 0) : text.prompts, {});

  const BroadcastSchedule schedule = this->schedule(request);
  Shape latent_shape = noise.shape();
  latent_shape[0] *= guidance ? 2 : 1;
  const Shape tokens = parts_.transformer.token_shape(latent_shape);
  const VideoPlan plan = plan_video(schedule, latte_branches(), {tokens[0], tokens[1], tokens[2], team_.size()}, team_.rank(),
                                    tokens[3] * int64_t(size_of(DType::float32)), Axis::time);
  Run run(team_, schedule, plan.tokens, request.broadcast.stored_output());

  const auto fresh_noise = [](int) -> Tensor {
    fail("Latte with eta above 0 needs a source of noise for each step, which is not there");
  };
  return denoise_with_guidance(parts_.transformer, run, *sampler, noise, caption, request.guidance, fresh_noise, observe);
}

Tensor LattePipeline::decode(const Tensor& latents, int64_t chunk) const {
  require(!std::holds_alternative<std::monostate>(parts_.vae), "no VAE was loaded: latents cannot be decoded");
  const int64_t videos = latents.dim(0), frames = latents.dim(2);
  const Tensor unscaled = combine(float(1 / parts_.scaling_factor), latents, 0, latents);
  const Tensor rows = permute(unscaled, {0, 2, 3, 4, 1}).reshape({videos * frames, 1, latents.dim(3), latents.dim(4), latents.dim(1)});
  Tensor images;
  if (const auto* temporal = std::get_if<AutoencoderKlTemporalDecoder>(&parts_.vae)) {
    images = temporal->decode(rows, chunk);
  } else {
    std::vector<Tensor> parts;   // frame by frame: one after the other takes the least memory
    for (int64_t row = 0; row < rows.dim(0); ++row) parts.push_back(std::get<AutoencoderKl>(parts_.vae).decode(slice(rows, 0, row, row + 1)));
    images = concatenate(parts, 0);
  }
  std::vector<float> values = images.to_host();
  for (float& value : values) value = std::clamp(value / 2 + 0.5f, 0.f, 1.f);
  return Tensor(images.backend(), {videos, frames, images.dim(2), images.dim(3), images.dim(4)}, values);
}

}  // namespace pyracast
