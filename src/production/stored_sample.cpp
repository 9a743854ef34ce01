#include "production/stored_sample.hpp"

#include <random>

#include "base/file.hpp"
#include "dataset/journal.hpp"
#include "dataset/shard_reader.hpp"
#include "pipeline/open_sora.hpp"
#include "production/fingerprint.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

StoredSample taken(const StoredRow& row) { return {row.record, row.fingerprint, row.file, row.number, row.in_journal}; }

/// `settings` with what a stored configuration says; a setting that it does not name (of an earlier version) keeps its default.
void read_configuration(const Json& configuration, GenerateSettings& settings) {
  GenerateSettings::fields([&]<class Member>(const char*, const char* name, Member& member, const char*) {
    if (!configuration.contains(name)) return;
    const Json& stored = configuration.at(name);
    if constexpr (config_detail::is_optional<Member>::value) {
      if (stored.is_null()) member = std::nullopt;
      else member = stored.get<typename Member::value_type>();
    } else if constexpr (std::is_same_v<Member, fs::path>) {
      member = stored.get<std::string>();
    } else {
      member = stored.get<Member>();
    }
  }, settings);
}

}  // namespace

SampleRecord StoredSample::whole() const {
  if (!in_journal) return ShardReader(file).whole(number);
  SampleRecord found;
  size_t at = 0;
  read_journal(file, fingerprint, [&](SampleRecord row) {
    if (at++ == number) found = std::move(row);
  });
  require(found.id == record.id && found.sample == record.sample, file.string(), ": has changed meanwhile; try again");
  return found;
}

std::vector<StoredSample> chosen_samples(const ReproduceSettings& settings) {
  std::vector<StoredSample> chosen;
  std::mt19937_64 random(std::random_device{}());
  uint64_t seen = 0;
  for_each_row(settings.output, [&](const StoredRow& row) {
    if (settings.count == 0) {
      if (row.record.id != settings.id || row.record.sample != settings.sample) return true;
      chosen.push_back(taken(row));
      return false;
    }
    // Reservoir sampling: each row so far is chosen with the same chance.
    const uint64_t place = std::uniform_int_distribution<uint64_t>(0, seen++)(random);
    if (chosen.size() < size_t(settings.count)) chosen.push_back(taken(row));
    else if (place < chosen.size()) chosen[size_t(place)] = taken(row);
    return true;
  });
  require(!chosen.empty(), settings.output.string(), settings.count ? ": holds no sample" :
          concat(": holds no sample ", settings.sample, " of \"", settings.id, "\"; metadata.jsonl lists what is there"));
  return chosen;
}

std::string to_bytes(const std::vector<StoredSample>& samples) {
  Json all = Json::array();
  for (const StoredSample& s : samples)
    all.push_back({{"record", Json::binary(to_bytes(s.record))}, {"fingerprint", s.fingerprint}, {"file", s.file.string()},
                   {"number", s.number}, {"in_journal", s.in_journal}});
  const auto bytes = Json::to_cbor(all);
  return {bytes.begin(), bytes.end()};
}

std::vector<StoredSample> stored_samples_from_bytes(const std::string& bytes) {
  std::vector<StoredSample> samples;
  for (const Json& s : Json::from_cbor(bytes))
    samples.push_back({sample_from_bytes(s.at("record").get_binary()), s.at("fingerprint").get<std::string>(), s.at("file").get<std::string>(),
                       s.at("number").get<size_t>(), s.at("in_journal").get<bool>()});
  return samples;
}

GenerateSettings settings_of_run(const RunSettings& run, const ReproduceSettings& now, const fs::path& scratch) {
  GenerateSettings settings;
  read_configuration(run.configuration, settings);
  for (const auto& [given, place] : {std::pair{&now.snapshot, &settings.model.snapshot}, {&now.transformer, &settings.model.transformer},
                                     {&now.vae, &settings.model.vae}, {&now.text_encoder, &settings.model.text_encoder},
                                     {&now.tokenizer, &settings.model.tokenizer}, {&now.scheduler, &settings.model.scheduler},
                                     {&now.references, &settings.references}})
    if (!given->empty()) *place = *given;
  // The device, arithmetic and instruction set that the run had, not what it asked for ("auto"): they decide bits.
  const std::string device = run.content.at("device").get<std::string>();
  settings.model.device = device.starts_with("cpu") ? "cpu" : "cuda";
  settings.model.dtype = recorded_anew(run.content).at("settings").at("dtype").get<std::string>();
  settings.model.cpu_isa = device == "cpu-portable" ? "portable" : "auto";
  settings.model.gpu_attention = device.find("-cudnn") != std::string::npos ? "cudnn" : "own";
  settings.model.threads = now.threads;
  settings.model.stored_outputs = now.stored_outputs;
  settings.ranks_per_video.ranks = now.ranks_per_video;
  settings.cfg_parallel = now.cfg_parallel;
  settings.comm = now.comm;
  settings.collective_timeout = now.collective_timeout;
  settings.broadcast.clear();
  if (const Json& policy = run.content.at("broadcast"); !policy.is_null()) {
    settings.broadcast = scratch / "broadcast.json";
    write_atomically(settings.broadcast, policy.dump());
  }
  return settings;
}

Prompt row_of(const SampleRecord& record, const GenerateSettings& settings, bool names_seed) {
  const Json further = Json::parse(record.settings);
  Prompt row;
  row.id = record.id;
  row.text = record.prompt;
  row.negative_prompt = further.value("negative_prompt", "");
  if (names_seed) row.seed = record.seed;
  row.samples = int(record.sample) + 1;
  row.height = further.value("height", int(record.height));   // asked for, where the video has not just that
  row.width = further.value("width", int(record.width));
  row.frames = int(settings.clips > 1 ? frames_of_clip(record.frames, settings.clips, settings.condition_latents) : record.frames);
  row.fps = record.fps;
  row.steps = int(record.steps);
  row.guidance = record.guidance;
  row.aesthetic = further.value("aesthetic", 0.0);   // 0: none is told
  if (further.contains("motion")) row.motion = further.at("motion").get<double>();
  if (further.contains("camera")) row.camera = further.at("camera").get<std::string>();
  if (further.contains("reference_path")) row.reference_path = further.at("reference_path").get<std::string>();
  if (further.contains("mask_strategy")) row.mask_strategy = further.at("mask_strategy").get<std::string>();
  return row;
}

}  // namespace pyracast
