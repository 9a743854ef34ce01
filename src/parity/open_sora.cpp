#include "pipeline/open_sora.hpp"

#include <algorithm>

#include "parity/case_reference.hpp"
#include "parity/components.hpp"
#include "parity/text.hpp"
#include "pipeline/frame_conditioning.hpp"
#include "pipeline/open_sora_sizes.hpp"

namespace pyracast {

namespace {

int64_t latent_frames(int64_t frames) {
  const TemporalVaeConfig published;
  return frames / 17 * 5 + published.latent_frames(frames % 17);
}

/// The random numbers that a case gives.
class GivenNoise final : public NoiseSource {
 public:
  explicit GivenNoise(const Case& parity_case) : case_(parity_case) {}

  std::vector<float> draw(NoiseUse use, int clip, int step, const Shape& shape) override {
    const std::string loop = concat("loop", clip, '.');
    switch (use) {
      case NoiseUse::latents: return checked(loop + "z", shape);
      case NoiseUse::encode_spatial: return checked(loop + "encode_noise_spatial", shape);
      case NoiseUse::encode_temporal: return checked(loop + "encode_noise_temporal", shape);
      case NoiseUse::renoise: return slice(case_.input(loop + "add_noise"), 0, step, step + 1).to_host();
    }
    fail("a use of noise that no case gives");
  }

 private:
  const Case& case_;

  std::vector<float> checked(const std::string& name, const Shape& shape) const {
    require(case_.input_shape(name) == shape, case_.where(), ": ", name, " is ", case_.input_shape(name), ", expected ", shape);
    return case_.input_floats(name);
  }
};

/// Puts what the pipeline shows under the case's names: per-step tensors stacked, integers as such.
class PipelineRecord {
 public:
  PipelineRecord(const Case& parity_case, Results& results) : case_(parity_case), results_(results) {}

  void show(const std::string& name, const Tensor& value) {
    const std::string loop = name.substr(0, name.find('.')), what = name.substr(name.find('.') + 1);
    if (what == "text_embeddings") {
      const auto mask = case_.input_integers(loop + ".attention_mask");
      const int64_t tokens = std::count(mask.begin(), mask.end(), 1);
      results_.add(name, slice(value, 1, 0, std::min(tokens + 3, value.dim(1))));
    } else if (what == "latents" || what == "x_mask") {
      steps_[name].push_back(value);
    } else if (what == "all_timesteps") {
      const std::vector<float> numbers = value.to_host();
      results_.add_integers(name, value.shape(), {numbers.begin(), numbers.end()});
    } else if (loop.starts_with("reference")) {
      if (what == "pictures") {
        steps_[name].push_back(value);
      } else {
        const Tensor pictures = concatenate(steps_[loop + ".pictures"], 2);
        const int64_t last = pictures.dim(2) - 1;
        results_.add(loop + ".pixels", concatenate({slice(pictures, 2, 0, 1), slice(pictures, 2, last, last + 1)}, 2));
        results_.add(name, value);
      }
    } else {
      if (what == "video") finish(loop);
      results_.add(name, value);
    }
  }

 private:
  const Case& case_;
  Results& results_;
  std::map<std::string, std::vector<Tensor>> steps_;

  void finish(const std::string& loop) {
    const std::vector<Tensor>& masks = steps_[loop + ".x_mask"];
    const std::vector<float> mask = concatenate(masks, 0).to_host();
    results_.add_integers(loop + ".x_mask", {int64_t(masks.size()), masks.front().dim(0)}, {mask.begin(), mask.end()});
    results_.add(loop + ".latents", stacked(steps_[loop + ".latents"]));
  }
};

VideoRequest request_of(const Case& c) {
  const auto size = value<std::vector<int64_t>>(c.call(), "image_size", c.where());
  VideoRequest request;
  request.prompt = value<std::string>(c.call(), "prompt", c.where());
  request.height = size.at(0);
  request.width = size.at(1);
  request.frames = value<int64_t>(c.call(), "num_frames", c.where());
  request.fps = value<double>(c.call(), "fps", c.where());
  request.steps = value<int>(c.call(), "num_inference_steps", c.where());
  request.guidance = value<double>(c.call(), "guidance_scale", c.where());
  request.clips = value_or(c.call(), "loop", 1, c.where());
  request.hints = prompt_hints(c.call(), c.where());
  request.condition_latents = value_or(c.call(), "condition_frame_length", int64_t(5), c.where());
  request.condition_edit = value_or(c.call(), "condition_frame_edit", 0.0, c.where());
  request.align = value_or(c.call(), "align", int64_t(5), c.where());
  request.reference_path = value_or(c.call(), "reference_path", std::string(), c.where());
  if (c.call().contains("reference_path")) request.mask_strategy = value<std::string>(c.call(), "mask_strategy", c.where());
  return request;
}

/// The tokens the case was made with are what our tokenizer gives.
void check_tokens(const Case& c, const Tokenizer& tokenizer, const VideoRequest& request) {
  const auto texts = texts_per_clip(request.prompt, request.hints, request.clips);
  for (int clip = 0; clip < request.clips; ++clip) {
    const auto expected = c.input_integers(concat("loop", clip, ".input_ids"));
    require(tokenizer.encode(texts[size_t(clip)], int64_t(expected.size())).ids == expected, c.where(), ": the tokens of \"",
            texts[size_t(clip)], "\" differ from loop", clip, ".input_ids");
  }
}

}  // namespace

void run_opensora_tables(const Case& c, Results& results) {
  Json out = c.expected_json();
  out["fps"] = open_sora_video_fps;
  out["image_fps"] = open_sora_image_fps;
  for (const NamedFrames& entry : named_frames()) out["num_frames_map"][std::string(entry.name)] = entry.frames;
  for (const NamedRatio& entry : named_ratios()) out["aspect_ratio_map"][std::string(entry.name)] = entry.key;
  for (const Resolution& resolution : resolutions()) {
    Json& table = out["resolutions"][std::string(resolution.name)];
    table["area"] = resolution.area;
    for (const RatioSize& entry : resolution.ratios)
      table["ratios"][std::string(entry.ratio)] = {entry.size.height, entry.size.width};
  }
  for (Json& row : out.at("entries")) {
    const ImageSize size = image_size(row[0].get<std::string>(), row[1].get<std::string>());
    const int64_t frames = row[2].get<int64_t>(), time = latent_frames(frames), h = size.height / 8, w = size.width / 8;
    row = {row[0], row[1], frames, size.height, size.width, time, h, w, time, ((h + 1) / 2) * ((w + 1) / 2)};
  }
  for (Json& row : out.at("unsupported_pairs")) {
    try {
      image_size(row[0].get<std::string>(), row[1].get<std::string>());
      row = "is supported";
    } catch (const Error&) {
    }
  }
  for (Json& row : out.at("latent_frames")) row[1] = latent_frames(row[0].get<int64_t>());
  for (Json& row : out.at("closest_ratio"))
    row[3] = closest_ratio(row[0].get<double>(), row[1].get<double>(), row[2].get<std::string>());
  for (Json& row : out.at("get_num_frames"))
    row[1] = row[0].is_string() ? frame_count(row[0].get<std::string>()) : row[0].get<int64_t>();
  results.set_json(out);
}

void run_mask_strategy(const Case& c, Results& results) {
  for (const Json& run : c.call().at("runs")) {
    const std::string index = std::to_string(value<int>(run, "index", c.where()));
    const Tensor z = c.input(index + ".z");
    const auto strategies = value<std::vector<std::string>>(run, "mask_strategy", c.where());
    const auto references = value<std::vector<int64_t>>(run, "refs_per_batch", c.where());
    std::optional<int64_t> align;
    if (run.contains("align") && !run.at("align").is_null()) align = value<int64_t>(run, "align", c.where());
    std::vector<Tensor> entries;
    std::vector<float> masks;
    for (int64_t b = 0; b < z.dim(0); ++b) {
      std::vector<EncodedReference> own;
      for (int64_t r = 0; r < references.at(size_t(b)); ++r) own.push_back(EncodedReference::whole(c.input(concat(index, ".ref.", b, '.', r))));
      Tensor latents = slice(z, 0, b, b + 1);
      const std::vector<float> mask = apply_mask_strategy(latents, own, parse_mask_strategy(strategies.at(size_t(b))),
                                                          value<int64_t>(run, "loop", c.where()), align);
      entries.push_back(latents);
      masks.insert(masks.end(), mask.begin(), mask.end());
    }
    results.add(index + ".z", concatenate(entries, 0));
    results.add(index + ".mask", {z.dim(0), z.dim(2)}, masks);
  }
}

void run_pipeline_opensora(const Case& c, Results& results) {
  const Weights transformer = c.weights("transformer"), text_encoder = c.weights("text_encoder"), vae = c.weights("vae");
  RectifiedFlowSettings flow;
  const Json scheduler = c.config_part("scheduler");
  flow.num_timesteps = value_or(scheduler, "num_timesteps", 1000, c.where());
  flow.use_timestep_transform = value_or(scheduler, "use_timestep_transform", true, c.where());
  flow.use_discrete_timesteps = value_or(scheduler, "use_discrete_timesteps", false, c.where());
  T5Encoder encoder(text_encoder, T5Config::from_json(c.config_part("text_encoder"), c.where()));
  const int64_t width = encoder.config().d_model;
  OpenSoraParts parts{{Tokenizer(c.config_path("tokenizer")), width, [embed = embed_with(std::move(encoder))] { return embed; }},
                      Stdit3(transformer, Stdit3Config::from_json(c.config_part("transformer"), c.where())),
                      OpenSoraVae(vae, OpenSoraVaeConfig::from_json(c.config_part("vae"), c.where())), flow};
  for (const Weights* weights : {&transformer, &text_encoder, &vae}) weights->finish();
  const VideoRequest request = request_of(c);
  check_tokens(c, Tokenizer(c.config_path("tokenizer")), request);

  const TeamChannels alone = lone_channels();
  OpenSora pipeline(std::move(parts), c.backend(), DType::float32, alone);
  GivenNoise given(c);
  std::optional<TorchNoise> drawn;   // of cases that say a seed in place of the numbers
  if (c.call().contains("seed")) drawn.emplace(value<uint64_t>(c.call(), "seed", c.where()), DType::float32, request.steps);
  PipelineRecord record(c, results);
  VideoRun run{drawn ? static_cast<NoiseSource&>(*drawn) : given};
  run.read_reference = [&](const std::string& file, const VideoRequest& of, const WantedFrames& wanted) {
    return case_reference(c.folder() / file, of, wanted);
  };
  run.observe = Observer([&](const std::string& name, const Tensor& value) { record.show(name, value); });
  run.encode_padding = true;
  run.broadcast = BroadcastPolicy(value_or(c.call(), "pab", Json(), c.where()), c.where());
  const VideoResult result = pipeline.generate(request, run);
  require(result.outcome == Outcome::going_on, c.where(), ": no video was made: ", result.reason);
  results.add_integers("video_uint8", {1, result.video.frames, result.video.height, result.video.width, 3},
                       {result.video.rgb.begin(), result.video.rgb.end()});
}

}  // namespace pyracast
