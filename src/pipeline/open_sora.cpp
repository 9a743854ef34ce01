#include "pipeline/open_sora.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "pipeline/frame_conditioning.hpp"

namespace pyracast {

namespace {

constexpr double image_fps = 120;   // what the published model was shown for single images
constexpr int64_t frames_per_chunk = 17, latents_per_chunk = 5;
constexpr int64_t spatial_stride = 8;

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

Weights open_weights(const std::filesystem::path& path, Backend& backend, std::optional<DType> dtype) {
  return Weights(backend, read_weights(path), {dtype}, path.string());
}

template <class Network, class Config>
Network load(const std::filesystem::path& folder, Backend& backend, std::optional<DType> dtype) {
  const auto file = folder / "config.json";
  const Weights weights = open_weights(folder, backend, dtype);
  Network network(weights, Config::from_json(read_json(file), file.string()));
  weights.finish();
  return network;
}

/// All but the time that is spent elsewhere.
EvaluationCost cost_of(const AttentionCache& cached, const CommunicationLedger& sent) {
  EvaluationCost cost{.branches = cached.seconds(), .communication = sent.seconds(),
                      .computed = cached.computed(), .all_to_alls = sent.all_to_alls,
                      .all_to_all_bytes = sent.all_to_all_bytes, .gather_bytes = sent.all_gather_bytes};
  cost.branches[size_t(Branch::spatial_attention)] -= sent.seconds_along[int(Axis::space)];
  cost.branches[size_t(Branch::temporal_attention)] -= sent.seconds_along[int(Axis::time)];
  return cost;
}

void show(const Observer& observe, const char* name, const std::vector<float>& values, Backend& backend, Shape shape) {
  if (observe) observe(name, Tensor(backend, std::move(shape), values));
}

}  // namespace

OpenSoraDefaults OpenSoraDefaults::from_json(const Json& json, const std::string& where) {
  OpenSoraDefaults d;
  d.height = value_or(json, "height", d.height, where);
  d.width = value_or(json, "width", d.width, where);
  d.frames = value_or(json, "num_frames", d.frames, where);
  d.fps = value_or(json, "fps", d.fps, where);
  d.steps = value_or(json, "num_sampling_steps", d.steps, where);
  d.guidance = value_or(json, "cfg_scale", d.guidance, where);
  d.use_timestep_transform = value_or(json, "use_timestep_transform", d.use_timestep_transform, where);
  d.num_timesteps = value_or(json, "num_timesteps", d.num_timesteps, where);
  return d;
}

OpenSoraParts open_snapshot(const SnapshotPaths& paths, Backend& backend, std::optional<DType> dtype, bool encodes) {
  const auto text_config = paths.text_encoder / "config.json";
  OpenSoraParts parts{Tokenizer(paths.tokenizer), std::nullopt,
                      load<Stdit3, Stdit3Config>(paths.transformer, backend, dtype),
                      load<OpenSoraVae, OpenSoraVaeConfig>(paths.vae, backend, dtype),
                      OpenSoraDefaults::from_json(paths.index, paths.index_file.string())};
  if (encodes) parts.text_encoder = load<T5Encoder, T5Config>(paths.text_encoder, backend, dtype);
  const int64_t wanted = parts.transformer.config().caption_channels;
  const int64_t given = T5Config::from_json(read_json(text_config), text_config.string()).d_model;
  require(wanted == given, paths.transformer.string(), " takes captions ", wanted, " wide, but the text encoder ",
          paths.text_encoder.string(), " gives ", given, ": they do not belong together");
  return parts;
}

OpenSora::OpenSora(OpenSoraParts parts, Backend& backend, DType condition_dtype, const TeamChannels& team)
    : backend_(backend), condition_dtype_(condition_dtype), parts_(std::move(parts)), team_(team) {
  const int64_t patch = parts_.transformer.config().patch_size[0];
  require(patch == 1, "a transformer with temporal patches of ", patch, " frames has no published pipeline (expected 1)");
}

std::optional<std::string> OpenSora::refusal(const OpenSoraRequest& request) {
  if (request.height < spatial_stride || request.width < spatial_stride)
    return concat("a video of ", request.height, " x ", request.width, " pixels: both must be at least ", spatial_stride);
  if (request.height > 8192 || request.width > 8192)
    return concat("a video of ", request.height, " x ", request.width, " pixels: at most 8192 x 8192 can be made");
  if (request.frames < 1) return concat("a video of ", request.frames, " frames: at least 1 is needed");
  if (request.steps < 1) return concat(request.steps, " denoising steps: at least 1 is needed");
  if (request.clips < 1) return concat(request.clips, " clips: at least 1 is needed");
  if (!(request.fps > 0 && request.fps <= 1000)) return concat(request.fps, " frames a second: expected more than 0, at most 1000");
  if (request.clips > 1 && request.condition_latents % latents_per_chunk)
    return concat("clips continued from ", request.condition_latents, " latent frames: a multiple of ",
                  latents_per_chunk, " is needed");
  return std::nullopt;
}

OpenSora::EncodedText OpenSora::encode(const std::string& text, bool padding) {
  if (const auto found = encoded_.find(text); found != encoded_.end()) return found->second;
  const Tokenizer::Tokens tokens = parts_.tokenizer.encode(text, parts_.transformer.config().model_max_length);
  const int64_t count = padding ? int64_t(tokens.ids.size()) : tokens.length;
  EncodedText encoded;
  encoded.length = tokens.length;
  encoded.mask.assign(size_t(count), 0);
  std::fill_n(encoded.mask.begin(), tokens.length, 1);
  encoded.embedding = parts_.text_encoder ? (*parts_.text_encoder)(std::span(tokens.ids).first(size_t(count)), encoded.mask, 1)
                                          : Tensor(backend_, {1, count, parts_.transformer.config().caption_channels});
  team_.whole->broadcast(encoded.embedding.view(), 0);
  encoded_[text] = encoded;
  return encoded;
}

Shape OpenSora::latent_shape(const OpenSoraRequest& request) const {
  return {1, parts_.transformer.config().in_channels, parts_.vae.latent_frames(request.frames), request.height / spatial_stride,
          request.width / spatial_stride};
}

RectifiedFlowSchedule OpenSora::schedule(const OpenSoraRequest& request) const {
  const OpenSoraDefaults& d = parts_.defaults;
  return rectified_flow_schedule({.steps = request.steps, .num_timesteps = d.num_timesteps,
                                  .use_discrete_timesteps = d.use_discrete_timesteps,
                                  .use_timestep_transform = d.use_timestep_transform},
                                 {double(request.height), double(request.width), double(request.frames)}, condition_dtype_);
}

std::vector<std::string> OpenSora::warnings(const OpenSoraRequest& request, const BroadcastPolicy& policy) const {
  return policy.warnings(schedule(request).integer_timesteps(), int(parts_.transformer.config().depth));
}

VideoPlan OpenSora::plan(const OpenSoraRequest& request, const BroadcastSchedule& broadcast) const {
  Shape latents = latent_shape(request);
  latents[0] = team_.guidance ? 1 : 2;   // guidance's halves: one each, or both in one batch
  const Shape tokens = parts_.transformer.token_shape(latents);
  const Communicator& team = team_.sharing_tokens();
  return plan_video(broadcast, open_sora_branches(), {tokens[0], tokens[1], tokens[2], team.size()}, team.rank(),
                    tokens[3] * int64_t(size_of(DType::float32)), Axis::space);
}

VideoPlan OpenSora::plan(const OpenSoraRequest& request, const BroadcastPolicy& policy) const {
  return plan(request, policy.schedule(schedule(request).integer_timesteps(), int(parts_.transformer.config().depth)));
}

std::optional<Tensor> OpenSora::denoise(const OpenSoraRequest& request, const OpenSoraRun& run, int clip,
                                        const EncodedText& text, Tensor latents, const std::vector<float>& mask,
                                        OpenSoraResult& result, const Observer& observe) {
  const RectifiedFlowSchedule schedule = this->schedule(request);
  const std::vector<int64_t> integer_timesteps = schedule.integer_timesteps();
  const int blocks = int(parts_.transformer.config().depth);
  const BroadcastSchedule broadcast = run.broadcast.schedule(integer_timesteps, blocks);
  const VideoPlan plan = this->plan(request, broadcast);
  Run evaluation(team_.sharing_tokens(), broadcast, plan.tokens, run.broadcast.stored_output());
  evaluation.cached.listen(run.listener);
  show(observe, "timesteps", schedule.timesteps, backend_, {request.steps});
  show(observe, "all_timesteps", {integer_timesteps.begin(), integer_timesteps.end()}, backend_, {request.steps});

  // Guidance: the prompt's half first, then the learned empty caption cut to the prompt's length. Both in one batch, or
  // one by each half of the team.
  const int64_t tokens = text.embedding.dim(1);
  const Tensor both = concatenate({text.embedding, slice(parts_.transformer.null_caption(), 1, 0, tokens)}, 0);
  const size_t batch = team_.guidance ? 1 : 2;
  const Tensor captions = team_.guidance ? slice(both, 0, team_.guidance->rank(), team_.guidance->rank() + 1) : both;
  const CaptionTokens caption = parts_.transformer.embed_caption(captions, text.mask);
  const auto held = [&](double number) {
    return condition_dtype_ == DType::bfloat16 ? round_to_bfloat16(float(number)) : float(number);
  };
  Stdit3Conditioning conditioning;
  conditioning.fps.assign(batch, held(request.frames == 1 ? image_fps : request.fps));
  conditioning.height = held(double(request.height));
  conditioning.width = held(double(request.width));

  FrameMask frame_mask(mask, 1, parts_.defaults.num_timesteps);
  for (int step = 0; step < request.steps; ++step) {
    const Stopwatch whole;
    team_.set_doing(concat("evaluation ", step + 1, " of ", request.steps));
    evaluation.begin(step);
    const CommunicationLedger before = evaluation.parallel.ledger();
    const float t = schedule.timesteps[size_t(step)];
    const auto fresh_noise = [&] {
      return Tensor(backend_, latents.shape(), run.noise.draw(NoiseUse::renoise, clip, step, latents.shape()));
    };
    latents = frame_mask.renoised(latents, fresh_noise, t);
    const std::vector<int64_t> generated = frame_mask.frames_generated(t);
    show(observe, "x_mask", {generated.begin(), generated.end()}, backend_, {int64_t(generated.size())});
    conditioning.timesteps.assign(batch, schedule.model_timesteps[size_t(step)]);
    conditioning.frame_mask.clear();
    if (std::count(generated.begin(), generated.end(), 0) > 0)
      for (size_t half = 0; half < batch; ++half)
        conditioning.frame_mask.insert(conditioning.frame_mask.end(), generated.begin(), generated.end());

    const Tensor prediction = parts_.transformer(repeat(latents, 0, int64_t(batch)), conditioning, caption, evaluation);
    Tensor velocity = slice(prediction, 1, 0, latents.dim(1));   // the other half is a variance nobody uses
    const Stopwatch exchange;
    if (team_.guidance) velocity = gather(*team_.guidance, velocity, 0, std::vector<int64_t>{1, 1});
    const double guidance_seconds = exchange.seconds();
    const Tensor guided_velocity = guided(slice(velocity, 0, 0, 1), slice(velocity, 0, 1, 2), float(request.guidance));
    latents = frame_mask.restored(combine(1, latents, schedule.step_size(step), guided_velocity), latents, t);
    observe("latents", latents);

    EvaluationCost cost = cost_of(evaluation.cached, evaluation.parallel.ledger() - before);
    for (size_t branch = 0; branch < branch_count; ++branch) {
      cost.branch_all_to_alls[branch] = evaluation.sent()[branch].all_to_alls;
      cost.branch_bytes[branch] = evaluation.sent()[branch].bytes;
    }
    assert(cost.all_to_alls == plan.exchanges[size_t(step)].count() && cost.all_to_all_bytes == plan.bytes[size_t(step)]);
    if (team_.guidance) cost.gather_bytes += int64_t(velocity.bytes()) / 2;
    cost.communication += guidance_seconds;
    cost.other = whole.seconds() - cost.communication;
    for (const double seconds : cost.branches) cost.other -= seconds;
    cost.all_to_all_bytes_avoided = plan.bytes_without_broadcast - cost.all_to_all_bytes;
    result.evaluations.push_back(cost);
    Outcome outcome = Outcome::going_on;
    const std::vector<float> values = latents.to_host();
    if (run.keeps_step_latents) result.step_latents.insert(result.step_latents.end(), values.begin(), values.end());
    if (!all_finite(values)) {
      outcome = Outcome::failed;
      result.reason = concat("the latents are not finite after step ", step + 1, " of ", request.steps);
    }
    result.outcome = run.agree ? run.agree(outcome) : outcome;
    if (result.outcome != Outcome::going_on) return std::nullopt;
  }
  assert(evaluation.cached.most_bytes() == plan.stored_bytes);
  return latents;
}

std::optional<OpenSora::Clip> OpenSora::make_clip(const OpenSoraRequest& request, const OpenSoraRun& run, int clip,
                                                  const std::string& text, const Tensor& previous,
                                                  OpenSoraResult& result) {
  const Observer observe = run.observe ? run.observe / concat("loop", clip) : Observer();
  const Stopwatch text_time;
  team_.set_doing("encoding the prompt");
  const EncodedText encoded = encode(text, run.encode_padding);
  if (clip == 0) {
    const Tensor kept = slice(encoded.embedding, 1, 0, encoded.length);
    result.embedding_shape = {encoded.length, kept.dim(2)};
    result.embedding = kept.to_host();
    result.encoded_prompt = text;
  }
  result.text_seconds += text_time.seconds();
  observe("text_embeddings", encoded.embedding);

  const Shape shape = latent_shape(request);
  std::vector<Tensor> references;
  std::vector<MaskStrategyRow> rows;
  if (!previous.empty()) {
    const int64_t frames = previous.dim(2);
    const auto drawn = [&](NoiseUse use, const Shape& noise_shape) {
      return Tensor(backend_, noise_shape, run.noise.draw(use, clip, 0, noise_shape));
    };
    const Tensor reference = parts_.vae.encode(
        previous, drawn(NoiseUse::encode_spatial, {frames, shape[1], shape[3], shape[4]}),
        drawn(NoiseUse::encode_temporal, {1, shape[1], parts_.vae.latent_frames(frames), shape[3], shape[4]}));
    observe("ref_latent", reference);
    references.push_back(reference.reshape({reference.dim(1), reference.dim(2), shape[3], shape[4]}));
    rows.push_back({.loop = clip, .reference = 0, .reference_start = -request.condition_latents, .target_start = 0,
                    .length = request.condition_latents, .edit_ratio = request.condition_edit});
  }
  Tensor latents(backend_, shape, run.noise.draw(NoiseUse::latents, clip, 0, shape));
  const std::vector<float> mask = apply_mask_strategy(latents, references, rows, clip, request.align);
  observe("z_start", latents);
  show(observe, "mask", mask, backend_, {1, shape[2]});

  const auto denoised = denoise(request, run, clip, encoded, latents, mask, result, observe);
  if (!denoised) return std::nullopt;
  const Stopwatch decode_time;
  team_.set_doing("decoding");
  const Tensor pixels = parts_.vae.decode(*denoised, request.frames, *team_.whole);
  result.decode_seconds += decode_time.seconds();
  observe("video", pixels);
  Outcome decoded = Outcome::going_on;
  if (!all_finite(pixels.to_host())) {
    decoded = Outcome::failed;
    result.reason = "the decoded pixels are not finite";
  }
  if (run.agree) decoded = run.agree(decoded);
  if (decoded == Outcome::failed) {   // being asked to stop does not discard a clip that is done
    result.outcome = decoded;
    return std::nullopt;
  }
  return Clip{*denoised, pixels};
}

OpenSoraResult OpenSora::generate(const OpenSoraRequest& request, const OpenSoraRun& run) {
  OpenSoraResult result;
  std::vector<std::string> texts;
  try {
    if (const auto why = refusal(request)) throw Error(*why);
    texts = texts_per_clip(request.prompt, request.hints, request.clips);
  } catch (const Error& error) {
    result.outcome = Outcome::failed;
    result.reason = error.what();
  }
  if (run.agree) result.outcome = run.agree(result.outcome);
  if (result.outcome != Outcome::going_on) return result;
  std::erase_if(encoded_, [&](const auto& entry) { return std::count(texts.begin(), texts.end(), entry.first) == 0; });

  result.video = {0, int(request.height), int(request.width), request.fps, {}};
  Tensor previous;
  for (int clip = 0; clip < request.clips; ++clip) {
    const auto made = make_clip(request, run, clip, texts[size_t(clip)], previous, result);
    if (!made) return result;
    previous = made->pixels;
    // A later clip begins with the frames it continues from.
    const int64_t repeated = clip ? request.condition_latents / latents_per_chunk * frames_per_chunk : 0;
    const Tensor fresh = slice(made->pixels, 2, std::min(repeated, request.frames), request.frames);
    const std::vector<uint8_t> pixels = to_pixels(fresh);
    result.video.rgb.insert(result.video.rgb.end(), pixels.begin(), pixels.end());
    result.video.frames += int(fresh.dim(2));
    result.video.height = int(fresh.dim(3));
    result.video.width = int(fresh.dim(4));
    result.latent_shape = {made->latents.dim(1), made->latents.dim(2), made->latents.dim(3), made->latents.dim(4)};
    result.latents = made->latents.to_host();
  }
  return result;
}

std::vector<uint8_t> to_pixels(const Tensor& decoded) {
  const std::vector<float> values = permute(decoded, {0, 2, 3, 4, 1}).to_host();
  std::vector<uint8_t> pixels(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const float v = std::clamp(values[i], -1.f, 1.f);
    pixels[i] = uint8_t(std::clamp((v + 1) / 2 * 255 + 0.5f, 0.f, 255.f));
  }
  return pixels;
}

}  // namespace pyracast
