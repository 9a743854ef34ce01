// `pyracast inspect SNAPSHOT`: what a snapshot is, what it takes to use it, and what is wrong where it cannot be used.
#include <cstdio>
#include <map>

#include "base/counted.hpp"
#include "jobs/jobs.hpp"
#include "kernels/planning_backend.hpp"
#include "pipeline/memory_plan.hpp"
#include "production/memory_check.hpp"
#include "runtime/device.hpp"
#include "settings/presets.hpp"

namespace pyracast {

namespace {

struct InspectSettings {
  std::filesystem::path config, presets;
  ModelSettings model{.model = ""};   // told from the snapshot
  bool json = false;

  template <class Visit>
  static void fields(Visit&& visit, InspectSettings& s) {
    visit("Inspect", "config", s.config, "file of `key = value` settings");
    visit("Inspect", "presets", s.presets,
          "folder of broadcast files to try on the model; default: those that come with the program (configs/broadcast "
          "beside it or above)");
    visit("Inspect", "json", s.json, "print JSON");
    ModelSettings::fields(visit, s.model);
  }
};

/// Tensors, parameters and bytes of a part's weight files; `as_float32`, `as_bfloat16`: in memory (vectors stay float32).
Json weights_of(const std::filesystem::path& folder) {
  int64_t parameters = 0, stored_bytes = 0, as_bfloat16 = 0;
  const StoredTensors tensors = read_weights(folder);
  for (const auto& [name, tensor] : tensors) {
    const int64_t size = size_of(tensor.shape);
    parameters += size;
    stored_bytes += int64_t(tensor.bytes.size());
    as_bfloat16 += size * (tensor.shape.size() > 1 ? 2 : 4);
  }
  return {{"path", folder.string()}, {"tensors", tensors.size()}, {"parameters", parameters}, {"stored_bytes", stored_bytes},
          {"bytes_float32", 4 * parameters}, {"bytes_bfloat16", as_bfloat16}};
}

/// The broadcast files of a folder, by name.
std::map<std::string, BroadcastPolicy> presets_in(const std::filesystem::path& folder) {
  std::map<std::string, BroadcastPolicy> presets;
  if (folder.empty()) return presets;
  require(std::filesystem::is_directory(folder), folder.string(), ": is no folder, expected one of broadcast files (--presets)");
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".json") presets.emplace(entry.path().stem(), BroadcastPolicy(read_json(entry.path()), entry.path().string()));
  return presets;
}

/// What of a preset does not fit such videos of the model, a line each.
std::vector<std::string> misfits(const BroadcastPolicy& policy, const VideoPipeline& pipeline, const VideoRequest& request) {
  if (const std::string why = policy.refusal(request.steps); !why.empty()) return {why};
  if (const std::string why = policy.refusal_of_guidance(request.guidance, false); !why.empty()) return {why};
  return pipeline.warnings(request, policy);
}

/// What a video of the default size takes on the first rank of teams of 1, 2, 4 and 8, which encodes the text and whose part of the
/// tokens is not smaller than another's by more than one row. Beside them what of each preset does not fit.
Json teams_of(const VideoModel& model, const ModelSettings& settings, const VideoRequest& request, const std::filesystem::path& folder, Json& unfit) {
  const WeightStorage storage = weight_storage(settings);
  Json teams = Json::array();
  const auto presets = presets_in(folder);
  PlanningBackend backend(planned_device(settings));
  for (const int ranks : {1, 2, 4, 8}) {
    const TeamChannels channels = planning_channels(0, ranks, false, {});
    const auto pipeline = model.open(backend, storage, channels);
    const Shape tokens = pipeline->token_shape(request);
    Json team{{"ranks", ranks}, {"tokens", tokens[0] * tokens[1] * tokens[2]}, {"width", tokens[3]},
              {"activation_bytes", tokens[0] * tokens[1] * ((tokens[2] + ranks - 1) / ranks) * tokens[3] * int64_t(size_of(backend.activations()))}};
    for (const auto& [name, policy] : presets) {
      if (const auto lines = misfits(policy, *pipeline, request); !lines.empty()) unfit[name] = lines;
      else team["stored_bytes"][name] = pipeline->plan(request, pipeline->schedule(request, policy)).stored_bytes;
    }
    const bool on_gpu = planned_device(settings) != PlannedDevice::cpu;   // each on its own
    const PlannedRank first{.ranks = ranks, .beside = beside_in_teams(on_gpu, ranks, 0), .texts = text_encoding(settings), .overlaps = on_gpu};
    const MemoryPlan memory = plan_memory(model, storage, request, {}, first, planned_device(settings));
    team["memory"] = {{"weights", memory.weight_bytes}, {"most", memory.most_bytes()}, {"phases", Json::array()}};
    for (const MemoryPlan::Phase& phase : memory.phases) team["memory"]["phases"].push_back({{"doing", phase.doing}, {"most", phase.most_bytes}});
    teams.push_back(team);
  }
  return teams;
}

Json inspected(const InspectSettings& settings) {
  const auto model = find_model(settings.model);
  const VideoDefaults& d = model->defaults();
  const VideoRequest request{.prompt = longest_prompt(), .negative_prompt = d.negative_prompt, .height = d.height, .width = d.width,
                             .frames = d.frames, .fps = d.fps, .steps = d.steps, .guidance = d.guidance};
  Json out{{"model", settings.model.model}};
  for (const ModelFamily& family : model_families())
    if (settings.model.model == family.name) out["title"] = family.title;
  for (const auto& [name, path] : model->files().parts())
    out["parts"][name] = name == "tokenizer" || name == "scheduler" ? Json{{"path", path.string()}} : weights_of(path);
  out["defaults"] = {{"height", d.height}, {"width", d.width}, {"frames", d.frames}, {"fps", d.fps}, {"steps", d.steps}, {"guidance", d.guidance}};
  if (const auto why = model->refusal(request)) fail("a video of the default size cannot be made: ", *why);
  out["presets_that_do_not_fit"] = Json::object();
  out["teams"] = teams_of(*model, settings.model, request, settings.presets, out["presets_that_do_not_fit"]);
  if (encodes_beforehand(settings.model, *model)) {
    const MemoryPlan memory = plan_text_encoding(*model, weight_storage(settings.model), request, planned_device(settings.model));
    out["texts"] = {{"weights", memory.weight_bytes}, {"most", memory.most_bytes()}};
  }
  out["notes"] = model->notes();
  if (settings.presets.empty())
    out["notes"].push_back("no preset was tried: there is no folder configs/broadcast beside the program or above it (--presets)");
  out["transformer_config"] = read_json(model->files().transformer / "config.json");
  return out;
}

void print(const Json& out, TextEncoding encoding) {
  const char* const encoder = encoding == TextEncoding::resident ? "held by the first rank of a team alone"
                              : encoding == TextEncoding::offload ? "read by the first rank of a team when a text is encoded, and dropped"
                                                                  : "there before the videos only, on each rank";
  const auto size = [](const Json& bytes) { return size_text(bytes.get<int64_t>()); };
  std::printf("%s: %s\n\n%-14s %8s %14s %10s %10s %10s\n", out["model"].get<std::string>().c_str(), out["title"].get<std::string>().c_str(), "part",
              "tensors", "parameters", "on disk", "float32", "bfloat16");
  for (const auto& [name, part] : out["parts"].items()) {
    if (!part.contains("tensors")) {
      std::printf("%-14s %s\n", name.c_str(), part["path"].get<std::string>().c_str());
      continue;
    }
    std::printf("%-14s %8lld %14lld %10s %10s %10s   %s\n", name.c_str(), part["tensors"].get<long long>(), part["parameters"].get<long long>(),
                size(part["stored_bytes"]).c_str(), size(part["bytes_float32"]).c_str(), size(part["bytes_bfloat16"]).c_str(),
                part["path"].get<std::string>().c_str());
  }
  const Json& d = out["defaults"];
  std::printf("\nvideos of %lld x %lld pixels, %s at %g a second, %s, guidance %g\n\n", d["height"].get<long long>(),
              d["width"].get<long long>(), counted(d["frames"].get<int64_t>(), "frame").c_str(), d["fps"].get<double>(),
                  counted(d["steps"].get<int64_t>(), "step").c_str(),
              d["guidance"].get<double>());
  std::printf("%-34s", "ranks a video");
  for (const Json& team : out["teams"]) std::printf("%14lld", team["ranks"].get<long long>());
  std::printf("\n%-34s", "one activation of a rank, float32");
  for (const Json& team : out["teams"]) std::printf("%14s", size(team["activation_bytes"]).c_str());
  std::printf("\n%-34s", "weights of the first rank");
  for (const Json& team : out["teams"]) std::printf("%14s", size(team["memory"]["weights"]).c_str());
  std::printf("\n%-34s", "tensors of the first rank, at most");
  for (const Json& team : out["teams"]) std::printf("%14s", size(team["memory"]["most"]).c_str());
  if (out.contains("texts"))
    std::printf("\n%-34s%14s on each rank, before the videos", "while texts are encoded, at most", size(out["texts"]["most"]).c_str());
  if (out["teams"].front().contains("stored_bytes"))
    for (const auto& [name, first] : out["teams"].front()["stored_bytes"].items()) {
      std::printf("\n%-34s", ("stored outputs, " + name).c_str());
      for (const Json& team : out["teams"]) std::printf("%14s", size(team["stored_bytes"][name]).c_str());
    }
  std::printf("\n");
  for (const auto& [name, lines] : out["presets_that_do_not_fit"].items()) {
    std::printf("\n%s does not fit: %s", name.c_str(), lines.front().get<std::string>().c_str());
    if (lines.size() > 1) std::printf(" (and %zu more like it: --json true)", lines.size() - 1);
  }
  for (const Json& note : out["notes"]) std::printf("\n%s", note.get<std::string>().c_str());
  std::printf("\n\nAll weights fit their configuration. The text encoder is %s; ranks of a "
              "node\nhave matrices, kernels and embedding tables once, in memory they share.\n", encoder);
}

}  // namespace

int inspect(int argc, char** argv) {
  const std::string usage = "usage: pyracast inspect [SNAPSHOT] [settings]\n";
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("%s\nWithout --model the family is told from the transformer's config.json. Numbers are read, weights are not.\n\n%s", usage.c_str(),
                describe(settings_of<InspectSettings>()).c_str());
    return 0;
  }
  const bool named = argc > 1 && argv[1][0] != '-';
  auto settings = read_config<InspectSettings>(argc - named, argv + named);
  if (named) settings.model.snapshot = argv[1];
  require(!settings.model.model.empty() || !settings.model.snapshot.empty() || !settings.model.transformer.empty(),
          "which snapshot to look at is not known\n", usage);
  if (settings.presets.empty()) settings.presets = presets_folder();
  if (settings.model.model.empty()) settings.model.model = family_of(settings.model.snapshot, find_given(settings.model));
  const Json out = inspected(settings);
  if (settings.json) std::printf("%s\n", out.dump(1).c_str());
  else print(out, text_encoding(settings.model));
  return 0;
}

}  // namespace pyracast
