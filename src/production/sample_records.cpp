#include "production/sample_records.hpp"

#include <algorithm>
#include <cstring>

#include "base/file.hpp"
#include "dataset/reference.hpp"
#include "runtime/device.hpp"

namespace pyracast {

uint64_t seed_of(const Prompt& row, const GenerateSettings& settings) { return row.seed.value_or(settings.seed); }

std::unique_ptr<NoiseSource> noise_of(const Prompt& row, uint32_t sample, int steps, const GenerateSettings& settings) {
  const uint64_t seed = seed_of(row, settings);
  if (settings.noise == "philox") return std::make_unique<PhiloxNoise>(seed, row.id, sample);
  require(settings.noise == "torch", "noise is \"", settings.noise, "\", expected philox or torch");
  // A row's own seed is what torch.manual_seed would be given; without one every row needs a seed of its own.
  const uint64_t own = row.seed ? seed : std::stoull(sha256(concat(seed, '\n', row.id)).substr(0, 8), nullptr, 16);
  return std::make_unique<TorchNoise>(own + sample, weight_storage(settings.model).dtype.value_or(DType::float32), steps);
}

std::filesystem::path folder_of_references(const GenerateSettings& settings) {
  if (!settings.references.empty()) return settings.references;
  const std::filesystem::path folder = settings.prompts.parent_path();
  return folder == "/dev/fd" ? std::filesystem::path() : folder;   // a pipe of the shell lies nowhere
}

ReferenceReader reader_of_references(const GenerateSettings& settings) {
  return [folder = folder_of_references(settings)](const std::string& file, const VideoRequest& request, const WantedFrames& wanted) {
    return read_reference(folder / file, int(request.height), int(request.width), wanted);
  };
}

bool saves(const GenerateSettings& settings, const char* what) {
  return std::find(settings.save.begin(), settings.save.end(), what) != settings.save.end();
}

void check_save(const std::vector<std::string>& save) {
  for (const std::string& what : save)
    require(what == "frames" || what == "latents" || what == "step-latents" || what == "embeddings", "save names \"", what,
            "\", expected frames, latents, step-latents, embeddings");
}

std::string settings_asked_for(Json made) {
  for (const char* told : {"height", "width", "reference_sha256"}) made.erase(told);
  return made.dump();
}

SampleRecord record_asked_for(const Prompt& row, uint32_t sample, const VideoRequest& request, const GenerateSettings& settings,
                              const BroadcastPolicy& broadcast) {
  SampleRecord record;
  record.id = row.id;
  record.sample = sample;
  record.prompt = row.text;
  record.seed = seed_of(row, settings);
  record.height = request.height;
  record.width = request.width;
  record.frames = request.frames;
  record.fps = request.fps;
  record.steps = request.steps;
  record.guidance = request.guidance;
  Json further{{"model", settings.model.model}, {"dtype", resolved_dtype(settings.model)}, {"noise", settings.noise}, {"clips", request.clips}};
  if (!settings.model.sampler.empty()) further["sampler"] = settings.model.sampler;
  if (!request.negative_prompt.empty()) further["negative_prompt"] = request.negative_prompt;
  if (request.eta != 0) further["eta"] = request.eta;
  if (request.clips > 1) further["condition_latents"] = request.condition_latents;
  if (request.clips > 1) further["condition_edit"] = request.condition_edit;
  if (request.hints.aesthetic) further["aesthetic"] = *request.hints.aesthetic;
  if (request.hints.motion) further["motion"] = *request.hints.motion;
  if (request.hints.camera) further["camera"] = *request.hints.camera;
  if (!request.reference_path.empty()) further["reference_path"] = request.reference_path;
  if (!request.mask_strategy.empty()) further["mask_strategy"] = request.mask_strategy;
  if (broadcast.enabled()) further["broadcast"] = sha256(broadcast.json().dump());
  record.settings = further.dump();
  return record;
}

SampleRecord record_of(const Prompt& row, uint32_t sample, const VideoRequest& request, const VideoResult& result,
                       const GenerateSettings& settings, const BroadcastPolicy& broadcast) {
  SampleRecord record = record_asked_for(row, sample, request, settings, broadcast);
  record.status = int64_t(result.outcome == Outcome::failed ? SampleStatus::failed : SampleStatus::done);
  record.reason = result.reason;
  record.encoded_prompt = result.encoded_prompt;
  if (result.video.frames) {
    record.height = result.video.height;
    record.width = result.video.width;
    record.frames = result.video.frames;
  }
  Json further = Json::parse(record.settings);
  if (!result.reference_sha256.empty()) further["reference_sha256"] = result.reference_sha256;
  // A model that makes whole latents only (of 8 pixels) is told the size asked for all the same, and its pixels follow from that.
  if (record.height != request.height || record.width != request.width) further["height"] = request.height, further["width"] = request.width;
  record.settings = further.dump();
  record.text_seconds = result.text_seconds;
  record.decode_seconds = result.decode_seconds;
  record.continuations = result.continuations;
  record.continued_after = result.continued_after;
  for (const EvaluationCost& cost : result.evaluations) {
    const auto of = [&](Branch branch) { return cost.branches[size_t(branch)]; };
    record.step_seconds.push_back({float(of(Branch::spatial_attention)), float(of(Branch::temporal_attention)),
                                   float(of(Branch::spatial_cross) + of(Branch::temporal_cross)),
                                   float(of(Branch::spatial_mlp) + of(Branch::temporal_mlp)), float(cost.communication),
                                   float(cost.other)});
    auto& counts = record.step_counts.emplace_back();
    std::copy(cost.computed.begin(), cost.computed.end(), counts.begin());
    const std::array<int64_t, 4> sent{cost.all_to_alls, cost.all_to_all_bytes, cost.all_to_all_bytes_avoided, cost.gather_bytes};
    auto next = std::copy(sent.begin(), sent.end(), counts.begin() + branch_count);
    next = std::copy(cost.branch_all_to_alls.begin(), cost.branch_all_to_alls.end(), next);
    std::copy(cost.branch_bytes.begin(), cost.branch_bytes.end(), next);
  }
  if (record.status == int64_t(SampleStatus::failed)) return record;
  if (saves(settings, "latents")) record.latents = {result.latent_shape, result.latents};
  if (saves(settings, "step-latents")) {
    record.step_latents = {result.latent_shape, result.step_latents};
    record.step_latents.shape.insert(record.step_latents.shape.begin(), int64_t(result.evaluations.size()));
  }
  if (saves(settings, "embeddings")) {
    record.text_embedding.shape = result.embedding_shape;
    for (const float value : result.embedding) record.text_embedding.values.push_back(bfloat16(value).bits);
  }
  return record;
}

}  // namespace pyracast
