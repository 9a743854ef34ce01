#include "pipeline/text_to_video.hpp"

#include <numeric>

#include "text/clean.hpp"

namespace pyracast {

namespace {

constexpr int64_t spatial_stride = 8;

/// x [rows, tokens, width] with 0 where the mask [rows * tokens] is 0.
Tensor without_masked(const Tensor& x, const std::vector<int64_t>& mask) {
  std::vector<float> kept;
  for (const int64_t token : mask) kept.insert(kept.end(), size_t(x.dim(2)), float(token));
  return x * Tensor(x.backend(), x.shape(), kept);
}

}  // namespace

PromptEmbeddings PromptEmbeddings::with(Padding padding) const {
  if (padding == Padding::masked) return *this;
  PromptEmbeddings text{prompts, negatives, {}, {}};
  if (prompts.dim(0) > 1) {
    text.prompts = without_masked(prompts, mask);
    return text;
  }
  const int64_t kept = std::accumulate(mask.begin(), mask.end(), int64_t(0));
  text.prompts = slice(prompts, 1, 0, kept);
  if (!negatives.empty()) text.negatives = slice(negatives, 1, 0, kept);
  return text;
}

TextToVideo::TextToVideo(TextToVideoParts parts, std::optional<TeamTextEncoder> text_encoder, Backend& backend, const TeamChannels& team)
    : parts_(std::move(parts)), text_encoder_(std::move(text_encoder)), backend_(backend), team_(team) {}

const LatteConfig& TextToVideo::sizes() const {
  const auto* over_all = std::get_if<OpenSoraT2v>(&parts_.transformer);
  return over_all ? over_all->config().sizes : std::get<Latte>(parts_.transformer).config();
}

int TextToVideo::blocks() const { return int(sizes().layers); }

BranchOrder TextToVideo::branches() const {
  return std::holds_alternative<Latte>(parts_.transformer) ? latte_branches() : single_block_branches();
}

std::unique_ptr<Sampler> TextToVideo::sampler(const VideoRequest& request) const {
  return make_sampler(parts_.scheduler, parts_.scheduler_file, request.steps, {.eta = request.eta});
}

Shape TextToVideo::latent_shape(const VideoRequest& request) const {
  const bool causal = std::holds_alternative<CausalVae>(parts_.decoder.vae);
  return {1, sizes().in_channels, causal ? causal_latents(request.frames) : request.frames, request.height / spatial_stride,
          request.width / spatial_stride};
}

Shape TextToVideo::token_shape(const Shape& latents) const {
  return std::visit([&](const auto& network) { return network.token_shape(latents); }, parts_.transformer);
}

Shape TextToVideo::token_shape(const VideoRequest& request) const {
  Shape latents = latent_shape(request);
  latents[0] = request.guidance > 1 && !team_.guidance ? 2 : 1;
  return token_shape(latents);
}

VideoPlan TextToVideo::plan(const Shape& tokens, const BroadcastSchedule& schedule) const {
  const Communicator& team = team_.sharing_tokens();
  return plan_halves(schedule, tokens[0], [&](const BroadcastSchedule& of_run, int64_t batch) {
    if (std::holds_alternative<Latte>(parts_.transformer))
      return plan_video(of_run, latte_branches(), {batch, tokens[1], tokens[2], tokens[3]}, team, Axis::time, backend_.activations());
    return plan_video_over_heads(of_run, {batch, tokens[1], tokens[2], team.size(), SequenceParallel::turns_of(team, batch)}, team.rank(),
                                 tokens[3] * int64_t(size_of(backend_.activations())), sizes().heads);
  });
}

VideoPlan TextToVideo::plan(const VideoRequest& request, const BroadcastSchedule& schedule) const { return plan(token_shape(request), schedule); }

std::optional<Tensor> TextToVideo::denoise(const Tensor& noise, const PromptEmbeddings& text, const VideoRequest& request, const VideoRun& run,
                                           VideoProgress& progress) const {
  const int64_t videos = noise.dim(0), halves = request.guidance > 1 ? 2 : 1;
  require(halves == 1 || !text.negatives.empty(), "guidance ", request.guidance, " needs the negative prompt's embeddings");
  const auto sampler = this->sampler(request);
  const BroadcastSchedule schedule = this->schedule(request, run.broadcast);
  Shape own_latents = noise.shape();
  own_latents[0] *= team_.guidance ? 1 : halves;
  const Shape tokens = token_shape(own_latents);
  const VideoPlan plan = this->plan(tokens, schedule);
  GuidanceHalves guidance(team_, schedule, plan, run, parts_.stored, halves, halves - 1);   // negative prompts first
  Denoising denoising(team_, guidance, plan, run, progress, tokens, sampler.get());

  const auto caption_of = [&](const auto& network, const GuidanceHalves::Part& part) {
    std::vector<Tensor> texts;
    std::vector<int64_t> mask;
    for (int64_t half = part.first; half < part.last; ++half) {
      const bool negative = halves == 2 && half == 0;
      texts.push_back(negative ? text.negatives : text.prompts);
      const std::vector<int64_t>& counted = negative ? text.negative_mask : text.mask;
      mask.insert(mask.end(), counted.begin(), counted.end());
    }
    return network.embed_caption(concatenate(texts, 0), mask);
  };
  const auto predicted = [&](const auto& network) -> std::optional<Tensor> {
    std::vector<LatteCaption> captions;
    for (const GuidanceHalves::Part& part : guidance.parts()) captions.push_back(caption_of(network, part));
    Tensor latents = combine(sampler->initial_sigma(), noise, 0, noise);
    for (size_t i = size_t(denoising.first(latents)); i < sampler->timesteps().size(); ++i) {
      const bool going_on = denoising(int(i), latents, [&](const Tensor& x) {
        const auto output_of = [&](GuidanceHalves::Part& part) {
          const int64_t count = part.last - part.first;
          const std::vector<float> timesteps(size_t(count * videos), sampler->timesteps()[i]);
          return network(repeat(sampler->model_input(x), 0, count), timesteps, captions[part.index()], part.run);
        };
        Tensor output = guidance(request.guidance, output_of, run.observe);
        if (output.dim(1) == 2 * x.dim(1)) output = slice(output, 1, 0, x.dim(1));   // the other half is a variance
        run.observe("noise_pred_guided", output);
        return sampler->step(output, x, [&] { return Tensor(backend_, x.shape(), run.noise.draw(NoiseUse::renoise, 0, int(i), x.shape())); });
      });
      run.observe("latents", latents);
      if (!going_on) return std::nullopt;
    }
    return latents;
  };
  return std::visit(predicted, parts_.transformer);
}

// Where padding is cut, the negative prompt is cut at the prompt's length, so that the network reads padding of a shorter one.
std::vector<TextToEncode> texts_of(const VideoRequest& request, Padding padding, int64_t most_tokens) {
  const auto text_of = [&](const std::string& text, TextPadding where_cut) {
    return TextToEncode{clean(text, Cleaning::diffusers), most_tokens, padding == Padding::masked ? TextPadding::masked : where_cut};
  };
  std::vector<TextToEncode> texts{text_of(request.prompt, TextPadding::cut)};
  if (request.guidance > 1) texts.push_back(text_of(request.negative_prompt, TextPadding::read));
  return texts;
}

PromptEmbeddings TextToVideo::encode(const VideoRequest& request, VideoProgress& progress) {
  const Moment begun = backend_.moment();
  const std::vector<TextToEncode> texts = texts_of(request, parts_.padding, parts_.most_tokens);
  const std::vector<EncodedText> encoded = (*text_encoder_)(texts, backend_, *team_.whole);
  const EncodedText& positive = encoded.front();
  progress.text = text_arrival(positive.counted(), begun, backend_);
  progress.result.encoded_prompt = texts.front().text;
  PromptEmbeddings text{positive.embedding, {}, positive.mask, {}};
  if (encoded.size() > 1) {
    text.negatives = encoded[1].embedding;
    text.negative_mask = encoded[1].mask;
  }
  return text.with(parts_.padding);
}

std::optional<Tensor> TextToVideo::denoised(const VideoRequest& request, const VideoRun& run, VideoProgress& progress) {
  team_.set_doing("encoding the prompt");
  const PromptEmbeddings text = encode(request, progress);
  const Shape shape = latent_shape(request);
  const auto latents = denoise(Tensor(backend_, shape, run.noise.draw(NoiseUse::latents, 0, 0, shape)), text, request, run, progress);
  progress.let_text_arrive();
  return latents;
}

VideoResult TextToVideo::generate(const VideoRequest& request, const VideoRun& run) {
  VideoProgress progress = run.continued ? *run.continued : VideoProgress();
  VideoResult& result = progress.result;
  if (const auto latents = denoised(request, run, progress)) {
    result.latent_shape = {latents->shape().begin() + 1, latents->shape().end()};
    result.latents = latents->to_host();
  } else {
    return result;
  }
  if (!run.decodes) return result;
  team_.set_doing("decoding");
  decode(request, result, run.takes_frames);
  const Outcome agreed = run.agreed(result.outcome);
  if (agreed == Outcome::failed) {   // being asked to stop does not discard a clip that is done
    result.outcome = agreed;
    result.video = {};
  }
  return result;
}

// Pixels are rounded down, as VideoSys does.
Arrival TextToVideo::decoding(const VideoRequest& request, const VideoResult& result, bool takes_frames) const {
  Shape shape = result.latent_shape;
  shape.insert(shape.begin(), 1);
  const Moment begun = backend_.moment();
  const Tensor pictures = decode(Tensor(backend_, shape, result.latents));
  const Tensor wanted = first_of(pictures, {std::min(request.frames, pictures.dim(1)), pictures.dim(2), pictures.dim(3), 3});
  const Moment ended = backend_.moment();
  return [this, begun, ended, fps = request.fps, shape = wanted.shape(), is_finite = all_finite(wanted),
          frames = takes_frames ? to_host_later<uint8_t>(to_pixels(wanted, PixelRounding::down)) : nullptr](VideoResult& result) {
    result.decode_seconds += backend_.seconds(begun, ended);
    if (!is_finite()) {
      result.outcome = Outcome::failed;
      result.reason = "the decoded pixels are not finite";
    } else if (frames) {
      result.video = {int(shape[0]), int(shape[1]), int(shape[2]), fps, frames()};
    }
  };
}

}  // namespace pyracast
