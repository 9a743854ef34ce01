#include "pipeline/open_sora.hpp"

#include <algorithm>
#include <cmath>

#include "pipeline/denoising.hpp"
#include "pipeline/families.hpp"

namespace pyracast {

namespace {

constexpr double image_fps = 120;   // what the published model was shown for single images
constexpr int64_t frames_per_chunk = 17, latents_per_chunk = 5;
constexpr int64_t spatial_stride = 8;

int64_t frames_repeated(int64_t condition_latents) { return condition_latents / latents_per_chunk * frames_per_chunk; }

void show(const Observer& observe, const char* name, const std::vector<float>& values, Backend& backend, Shape shape) {
  if (observe) observe(name, Tensor(backend, std::move(shape), values));
}

/// Pictures [1, 3, frames, height, width] from frame `first` on -> 8-bit pixels [frames, height, width, 3].
Tensor pixels_of(const Tensor& pictures, int64_t first) {
  Tensor pixels = to_pixels(pictures, PixelRounding::nearest);
  if (first > 0) pixels = slice(pixels, 2, first, pixels.dim(2));
  return permute(pixels, {0, 2, 3, 4, 1}).reshape({pixels.dim(2), pixels.dim(3), pixels.dim(4), 3});
}

/// Latent frames of a clip, at most: the last chunk may be shorter.
int64_t latents_of(const VideoRequest& request) { return (request.frames + frames_per_chunk - 1) / frames_per_chunk * latents_per_chunk; }

References references_of(const VideoRequest& request) {
  return pyracast::references_of(request.prompt, request.reference_path, request.mask_strategy, request.clips);
}

/// `count` frames from `first` on, of pixels [frames, height, width, 3] from 0 to 1 -> [1, 3, count, height, width] from -1 to 1.
Tensor normalised_pictures(Backend& backend, const std::vector<float>& pixels, int64_t first, int64_t count, int64_t height, int64_t width) {
  const size_t positions = size_t(count * height * width), begin = size_t(first * height * width * 3);
  std::vector<float> values(3 * positions);
  for (size_t i = 0; i < positions; ++i)
    for (size_t c = 0; c < 3; ++c) values[c * positions + i] = (pixels[begin + 3 * i + c] - 0.5f) / 0.5f;
  return Tensor(backend, {1, 3, count, height, width}, values);
}

RectifiedFlowSettings flow_settings(const Json& index, const std::string& where) {
  RectifiedFlowSettings flow;
  flow.use_timestep_transform = value_or(index, "use_timestep_transform", flow.use_timestep_transform, where);
  flow.num_timesteps = value_or(index, "num_timesteps", flow.num_timesteps, where);
  return flow;
}

class OpenSoraModel final : public VideoModel {
 public:
  OpenSoraModel(SnapshotPaths files, VideoDefaults defaults, const Stdit3Config& config)
      : VideoModel(std::move(files), std::move(defaults)), config_(config) {}

  ImageSize size_of(const std::string& resolution, const std::string& aspect_ratio) const override {
    return image_size(resolution, aspect_ratio);
  }

  bool takes_hints() const override { return true; }

  References references(const VideoRequest& request) const override {
    const References found = references_of(request);
    for (const MaskStrategyRow& row : found.rows)
      require(-latents_of(request) <= row.target_start && row.target_start < latents_of(request), "mask_strategy puts a frame at latent frame ",
              row.target_start, ": a clip of ", request.frames, " frames has at most ", latents_of(request));
    return found;
  }

  std::vector<TextToEncode> texts(const VideoRequest& request) const override { return open_sora_texts(request, config_.model_max_length); }

  std::unique_ptr<VideoPipeline> open(Backend& backend, WeightStorage storage, const TeamChannels& team, const TextSource& texts) const override {
    const SnapshotPaths& from = files();
    Stdit3 transformer = load_network<Stdit3, Stdit3Config>(from.transformer, backend, storage);
    OpenSoraVae vae = load_network<OpenSoraVae, OpenSoraVaeConfig>(from.vae, backend, storage);
    TeamTextEncoder text = open_text_encoder(text_encoder_files(), backend, storage, texts, team.whole->rank() == 0);
    OpenSoraParts parts{std::move(text), std::move(transformer), std::move(vae), flow_settings(from.index, from.index_file.string())};
    return std::make_unique<OpenSora>(std::move(parts), backend, storage.dtype.value_or(DType::float32), team);
  }

 private:
  Stdit3Config config_;

  int64_t caption_width() const override { return config_.caption_channels; }

  std::optional<std::string> refusal_of_family(const VideoRequest& request) const override {
    if (request.height < spatial_stride || request.width < spatial_stride)
      return concat("a video of ", request.height, " x ", request.width, " pixels: both must be at least ", spatial_stride);
    if (!request.negative_prompt.empty())
      return "a negative prompt: Open-Sora v1.2 has none (the unconditional half of its guidance is learned); leave it out";
    if (request.eta != 0) return "eta: Open-Sora v1.2's rectified flow has none; leave it out";
    if (request.clips > 1 && request.condition_latents % latents_per_chunk)
      return concat("clips continued from ", request.condition_latents, " latent frames: a multiple of ", latents_per_chunk, " is needed");
    if (request.clips > 1 && request.condition_latents > latents_of(request))
      return concat("clips continued from ", request.condition_latents, " latent frames: a clip of ", request.frames, " frames has at most ",
                    latents_of(request));
    return std::nullopt;
  }
};

}  // namespace

std::unique_ptr<VideoModel> find_open_sora(const ModelChoice& choice) {
  require(choice.sampler.empty(), "sampler is \"", choice.sampler, "\", but Open-Sora v1.2 has its own rectified flow: leave it out");
  SnapshotPaths files = choice.on_disk ? find_snapshot(choice.snapshot, choice.given) : SnapshotPaths();
  const std::string where = files.index_file.string();
  flow_settings(files.index, where);
  const VideoDefaults defaults = VideoDefaults::from_index(files.index, where, {480, 854, 51, 24, 30, 7});
  const auto config = transformer_config<Stdit3Config>(files, choice, {});
  return std::make_unique<OpenSoraModel>(std::move(files), defaults, config);
}

OpenSora::OpenSora(OpenSoraParts parts, Backend& backend, DType condition_dtype, const TeamChannels& team)
    : backend_(backend), condition_dtype_(condition_dtype), parts_(std::move(parts)), team_(team) {
  const int64_t patch = parts_.transformer.config().patch_size[0];
  require(patch == 1, "a transformer with temporal patches of ", patch, " frames has no published pipeline (expected 1)");
}

Shape OpenSora::latent_shape(const VideoRequest& request) const {
  return {1, parts_.transformer.config().in_channels, parts_.vae.latent_frames(request.frames), request.height / spatial_stride,
          request.width / spatial_stride};
}

RectifiedFlowSchedule OpenSora::flow(const VideoRequest& request) const {
  RectifiedFlowSettings settings = parts_.flow;
  settings.steps = request.steps;
  return rectified_flow_schedule(settings, {double(request.height), double(request.width), double(request.frames)}, condition_dtype_);
}

Shape OpenSora::token_shape(const VideoRequest& request) const {
  Shape latents = latent_shape(request);
  latents[0] = team_.guidance ? 1 : 2;   // guidance's halves: one each, or both in one batch
  return parts_.transformer.token_shape(latents);
}

VideoPlan OpenSora::plan(const VideoRequest& request, const BroadcastSchedule& schedule) const {
  Shape tokens = token_shape(request);
  return plan_halves(schedule, tokens[0], [&](const BroadcastSchedule& of_run, int64_t batch) {
    tokens[0] = batch;
    return plan_video(of_run, open_sora_branches(), tokens, team_.sharing_tokens(), Axis::space, backend_.activations());
  });
}

int64_t frames_of_clip(int64_t frames_of_video, int clips, int64_t condition_latents) {
  const int64_t repeated = frames_repeated(condition_latents);   // a shorter clip is all repetition: nothing is added to the first
  return frames_of_video <= repeated ? frames_of_video : (frames_of_video + (clips - 1) * repeated) / clips;
}

std::optional<Tensor> OpenSora::denoise(const VideoRequest& request, const VideoRun& run, const EncodedText& text, Tensor latents,
                                        const std::vector<float>& mask, VideoProgress& progress, const Observer& observe) {
  const RectifiedFlowSchedule flow = this->flow(request);
  const std::vector<int64_t> integer_timesteps = flow.integer_timesteps();
  const BroadcastSchedule broadcast = schedule(request, run.broadcast);
  const VideoPlan plan = this->plan(request, broadcast);
  GuidanceHalves halves(team_, broadcast, plan, run, StoredOutput::gated, 2, 0);
  Denoising denoising(team_, halves, plan, run, progress, token_shape(request));
  show(observe, "timesteps", flow.timesteps, backend_, {request.steps});
  show(observe, "all_timesteps", {integer_timesteps.begin(), integer_timesteps.end()}, backend_, {request.steps});

  // Guidance: the prompt's half first, then the learned empty caption cut to the prompt's length.
  const int64_t tokens = text.embedding.dim(1);
  const Tensor both = concatenate({text.embedding, slice(parts_.transformer.null_caption(), 1, 0, tokens)}, 0);
  std::vector<CaptionTokens> captions;
  for (GuidanceHalves::Part& part : halves.parts()) {
    captions.push_back(parts_.transformer.embed_caption(slice(both, 0, part.first, part.last), text.mask));
    part.run.observe = observe / "network";
  }
  const auto held = [&](double number) {
    return condition_dtype_ == DType::bfloat16 ? round_to_bfloat16(float(number)) : float(number);
  };
  Stdit3Conditioning conditioning;
  conditioning.height = held(double(request.height));
  conditioning.width = held(double(request.width));

  FrameMask frame_mask(mask, 1, parts_.flow.num_timesteps);
  const int first_step = denoising.first(latents);
  if (first_step > 0) frame_mask.go_on_after(flow.timesteps[size_t(first_step) - 1]);
  for (int step = first_step; step < request.steps; ++step) {
    const float t = flow.timesteps[size_t(step)];
    const bool going_on = denoising(step, latents, [&](Tensor x) {
      const auto fresh_noise = [&] { return Tensor(backend_, x.shape(), run.noise.draw(NoiseUse::renoise, progress.clip, step, x.shape())); };
      x = frame_mask.renoised(x, fresh_noise, t);
      const std::vector<int64_t> generated = frame_mask.frames_generated(t);
      show(observe, "x_mask", {generated.begin(), generated.end()}, backend_, {int64_t(generated.size())});
      const auto velocity = [&](GuidanceHalves::Part& part) {
        const int64_t batch = part.last - part.first;
        conditioning.fps.assign(size_t(batch), held(request.frames == 1 ? image_fps : request.fps));
        conditioning.timesteps.assign(size_t(batch), flow.model_timesteps[size_t(step)]);
        conditioning.frame_mask.clear();
        if (std::count(generated.begin(), generated.end(), 0) > 0)
          for (int64_t half = 0; half < batch; ++half)
            conditioning.frame_mask.insert(conditioning.frame_mask.end(), generated.begin(), generated.end());
        const Tensor prediction = parts_.transformer(repeat(x, 0, batch), conditioning, captions[part.index()], part.run);
        return slice(prediction, 1, 0, x.dim(1));   // the other half of the channels is a variance nobody uses
      };
      const Tensor guided_velocity = halves(request.guidance, velocity);
      return frame_mask.restored(combine(1, x, flow.step_size(step), guided_velocity), x, t);
    });
    observe("latents", latents);
    if (!going_on) return std::nullopt;
  }
  return latents;
}

std::vector<TextToEncode> open_sora_texts(const VideoRequest& request, int64_t most, bool encode_padding) {
  std::vector<TextToEncode> texts;
  for (std::string& text : texts_per_clip(request.prompt, request.hints, request.clips))
    texts.push_back({std::move(text), most, encode_padding ? TextPadding::masked : TextPadding::left_out});
  return texts;
}

OpenSora::EncodingNoise OpenSora::encoding_noise(const VideoRequest& request, NoiseSource& noise, int clip, int index, int64_t frames,
                                                 const VaeChunk& chunk) const {
  const Shape clip_shape = latent_shape(request);
  const int64_t channels = clip_shape[1], height = clip_shape[3], width = clip_shape[4];
  const auto drawn = [&](NoiseUse use, const Shape& shape, const NoisePart& part) {
    Shape own = shape;
    own[part.axis] = part.last - part.first;
    return Tensor(backend_, own, noise.draw_part(use, clip, index, shape, part));
  };
  std::vector<int64_t> latents_of_chunks;
  for (const VaeChunk& each : parts_.vae.chunks(frames)) latents_of_chunks.push_back(each.latents);
  return {drawn(NoiseUse::encode_spatial, {frames, channels, height, width},
                {0, chunk.first_frame, chunk.first_frame + chunk.frames, parts_.vae.micro_batches(frames)}),
          drawn(NoiseUse::encode_temporal, {1, channels, parts_.vae.latent_frames(frames), height, width},
                {2, chunk.first_latent, chunk.first_latent + chunk.latents, latents_of_chunks})};
}

std::vector<VaeChunk> OpenSora::taken_chunks(const VideoRequest& request, std::span<const MaskStrategyRow> rows, size_t reference,
                                             int64_t frames) const {
  const int64_t available = parts_.vae.latent_frames(frames);
  std::vector<CopiedFrames> taken;
  for (const MaskStrategyRow& row : rows) {
    if (size_t(row.reference) != reference) continue;
    taken.push_back(copied_frames(row, available, latent_shape(request)[2], request.align));
    require(taken.back().length > 0, "mask_strategy takes nothing from frame ", row.reference_start, " on of reference ", row.reference,
            ", which has ", available, " latent frames");
  }
  std::vector<VaeChunk> chunks = parts_.vae.chunks(frames);
  std::erase_if(chunks, [&](const VaeChunk& chunk) {
    return std::none_of(taken.begin(), taken.end(), [&](const CopiedFrames& copied) {
      return copied.from < chunk.first_latent + chunk.latents && chunk.first_latent < copied.from + copied.length;
    });
  });
  return chunks;
}

std::vector<Reference> OpenSora::read_references(const VideoRequest& request, const VideoRun& run) const {
  const auto [files, rows] = references_of(request);
  require(files.empty() || run.read_reference, "references cannot be read by this job");
  std::vector<Reference> references;
  for (const std::string& file : files)
    references.push_back(run.read_reference(file, request, [&, index = references.size()](int frames, const std::string& sha256) {
      std::vector<bool> wanted(size_t(frames), false);
      for (const VaeChunk& chunk : taken_chunks(request, rows, index, frames))
        if (!moments_.contains({index, file, sha256, request.height, request.width, chunk.first_frame, chunk.frames}))
          std::fill_n(wanted.begin() + chunk.first_frame, chunk.frames, true);
      return wanted;
    }));
  return references;
}

// Chunk by chunk, and only those that are taken: a reference may be far longer than a clip.
std::vector<EncodedReference> OpenSora::encode_references(const VideoRequest& request, std::vector<Reference> references, const VideoRun& run) {
  const auto [files, rows] = references_of(request);
  if (!references.empty()) team_.set_doing("encoding the references");
  std::erase_if(moments_, [&](const auto& known) {
    const auto& [index, file, sha256, height, width, first, count] = known.first;
    return index >= files.size() || file != files[index] || sha256 != references[index].sha256 || height != request.height || width != request.width;
  });
  std::vector<EncodedReference> encoded;
  for (const Reference& reference : references) {
    const size_t index = encoded.size();
    const Observer observe = run.observe ? run.observe / concat("reference", index) : Observer();
    EncodedReference all{{}, taken_chunks(request, rows, index, reference.frames), parts_.vae.latent_frames(reference.frames)};
    std::vector<Tensor> parts;
    int64_t first = 0;
    for (const VaeChunk& chunk : all.chunks) {
      Tensor& moments = moments_[{index, files[index], reference.sha256, request.height, request.width, chunk.first_frame, chunk.frames}];
      if (moments.empty()) {
        const Tensor pictures = normalised_pictures(backend_, reference.pixels, first, chunk.frames, request.height, request.width);
        first += chunk.frames;
        observe("pictures", pictures);
        moments = parts_.vae.frame_moments(pictures);
      }
      const auto [spatial, temporal] = encoding_noise(request, run.noise, 0, int(index), reference.frames, chunk);
      const Tensor latents = parts_.vae.encode_moments(moments, spatial, temporal);
      parts.push_back(latents.reshape({latents.dim(1), latents.dim(2), latents.dim(3), latents.dim(4)}));
    }
    all.latents = concatenate(parts, 1);
    observe("latent", [&] { return all.latents.reshape({1, all.latents.dim(0), all.latents.dim(1), all.latents.dim(2), all.latents.dim(3)}); });
    encoded.push_back(std::move(all));
  }
  return encoded;
}

EncodedReference OpenSora::encode_previous(const VideoRequest& request, const HostTensor& previous, NoiseSource& noise, int clip) const {
  const int64_t frames = previous.shape.at(2);
  const auto [spatial, temporal] = encoding_noise(request, noise, clip, 0, frames, {0, frames, 0, parts_.vae.latent_frames(frames)});
  const Tensor latents = parts_.vae.encode(Tensor(backend_, previous.shape, previous.values), spatial, temporal);
  return EncodedReference::whole(latents.reshape({latents.dim(1), latents.dim(2), latents.dim(3), latents.dim(4)}));
}

std::optional<Tensor> OpenSora::make_clip(const VideoRequest& request, const VideoRun& run, std::span<const TextToEncode> texts,
                                          std::vector<EncodedReference> references, VideoProgress& progress, const Observer& observe) {
  VideoResult& result = progress.result;
  const int clip = progress.clip;
  const Moment text_begun = backend_.moment();
  team_.set_doing("encoding the prompt");
  const EncodedText encoded = parts_.text_encoder(texts.subspan(size_t(clip)), backend_, *team_.whole).front();
  if (clip == 0) result.encoded_prompt = texts.front().text;
  progress.text = text_arrival(clip == 0 ? encoded.counted() : Tensor(), text_begun, backend_);
  observe("text_embeddings", encoded.embedding);

  const Shape shape = latent_shape(request);
  std::vector<MaskStrategyRow> rows = references_of(request).rows;
  if (clip > 0) {   // the clip before is one more reference, and what it says comes last
    references.push_back(encode_previous(request, progress.previous, run.noise, clip));
    observe("ref_latent", [&] { return references.back().latents.reshape({1, shape[1], -1, shape[3], shape[4]}); });
    rows.push_back({.loop = clip, .reference = int64_t(references.size()) - 1, .reference_start = -request.condition_latents, .target_start = 0,
                    .length = request.condition_latents, .edit_ratio = request.condition_edit});
  }
  Tensor latents(backend_, shape, run.noise.draw(NoiseUse::latents, clip, 0, shape));
  const std::vector<float> mask = apply_mask_strategy(latents, references, rows, clip, request.align);
  observe("z_start", latents);
  show(observe, "mask", mask, backend_, {1, shape[2]});

  return denoise(request, run, encoded, latents, mask, progress, observe);
}

OpenSora::Decoded OpenSora::decoded(const Tensor& latents, const VideoRequest& request, int64_t first, bool takes_frames) const {
  const Moment begun = backend_.moment();
  const Tensor pictures = parts_.vae.decode(latents, request.frames, *team_.whole);
  const Moment ended = backend_.moment();
  const Tensor pixels = takes_frames ? pixels_of(pictures, first) : Tensor();
  return {pictures, [this, begun, ended, is_finite = all_finite(pictures), shape = pixels.shape(),
                     frames = takes_frames ? to_host_later<uint8_t>(pixels) : nullptr](VideoResult& result) {
    result.decode_seconds += backend_.seconds(begun, ended);
    if (!is_finite()) {
      result.outcome = Outcome::failed;
      result.reason = "the decoded pixels are not finite";
    } else if (frames) {
      Video& video = result.video;
      const std::vector<uint8_t> rgb = frames();
      video.rgb.insert(video.rgb.end(), rgb.begin(), rgb.end());
      video.frames += int(shape[0]), video.height = int(shape[1]), video.width = int(shape[2]);
    }
  }};
}

VideoResult OpenSora::generate(const VideoRequest& request, const VideoRun& run) {
  VideoProgress progress = run.continued ? *run.continued : VideoProgress();
  VideoResult& result = progress.result;
  std::vector<TextToEncode> texts;
  std::vector<Reference> references;
  try {
    texts = open_sora_texts(request, parts_.transformer.config().model_max_length, run.encode_padding);
    references = read_references(request, run);
  } catch (const Error& error) {
    result.outcome = Outcome::failed;
    result.reason = error.what();
  }
  result.outcome = run.agreed(result.outcome);
  if (result.outcome != Outcome::going_on) return result;

  std::vector<std::string> hashes;
  for (const Reference& reference : references) hashes.push_back(reference.sha256);
  if (!run.continued || result.reference_sha256 != hashes) {   // else it was begun with files that have changed since
    progress = VideoProgress();
    result.reference_sha256 = std::move(hashes);
    result.video = {0, int(request.height), int(request.width), request.fps, {}};
  }
  const std::vector<EncodedReference> encoded = encode_references(request, std::move(references), run);
  // Numbers that a generator gives in turn come behind those of the clips that are there already.
  for (int clip = 0; clip < progress.clip; ++clip) {
    if (clip > 0) encoding_noise(request, run.noise, clip, 0, request.frames, {0, request.frames, 0, latent_shape(request)[2]});
    run.noise.draw(NoiseUse::latents, clip, 0, latent_shape(request));
  }
  for (; progress.clip < request.clips; ++progress.clip, progress.evaluations = 0) {
    const Observer observe = run.observe ? run.observe / concat("loop", progress.clip) : Observer();
    const auto latents = make_clip(request, run, texts, encoded, progress, observe);
    progress.let_text_arrive();
    if (!latents) return result;
    result.latent_shape = {latents->dim(1), latents->dim(2), latents->dim(3), latents->dim(4)};
    result.latents = latents->to_host();
    if (!run.decodes) return result;
    team_.set_doing("decoding");
    // A later clip begins with the frames it continues from.
    const int64_t repeated = progress.clip ? frames_repeated(request.condition_latents) : 0;
    const auto [pictures, arrival] = decoded(*latents, request, std::min(repeated, request.frames), run.takes_frames);
    observe("video", pictures);
    arrival(result);
    const Outcome agreed = run.agreed(result.outcome);
    if (agreed == Outcome::failed) {   // being asked to stop does not discard a clip that is done
      result.outcome = agreed;
      return result;
    }
    if (progress.clip + 1 < request.clips) progress.previous = {pictures.shape(), pictures.to_host()};
  }
  return result;
}

Arrival OpenSora::decoding(const VideoRequest& request, const VideoResult& result, bool takes_frames) const {
  Shape shape = result.latent_shape;
  shape.insert(shape.begin(), 1);
  return decoded(Tensor(backend_, shape, result.latents), request, 0, takes_frames).arrival;
}

}  // namespace pyracast
