#include "report/dataset_card.hpp"

#include <algorithm>

#include "base/counted.hpp"
#include "dataset/clip_quality.hpp"
#include "report/html.hpp"

namespace pyracast {

namespace {

const char* size_category(int64_t videos) {
  for (const auto& [below, name] :
       {std::pair{1'000, "n<1K"}, {10'000, "1K<n<10K"}, {100'000, "10K<n<100K"}, {1'000'000, "100K<n<1M"}, {10'000'000, "1M<n<10M"}})
    if (videos < below) return name;
  return "10M<n<100M";
}

std::string name_of_folder(const std::filesystem::path& folder) {
  const auto whole = std::filesystem::absolute(folder).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

std::string list(const std::vector<std::pair<std::string, int64_t>>& counts) {
  std::string out;
  for (const auto& [what, count] : counts)
    out += concat(out.empty() ? "" : "; ", what, counts.size() > 1 ? concat(" (", count, ")") : "");
  return out;
}

std::string sizes_of(const DatasetSummary& s) {
  std::vector<std::pair<std::string, int64_t>> counts;
  for (const auto& [size, count] : s.sizes)
    counts.emplace_back(concat(size[0], " x ", size[1], " pixels, ", counted(size[2], "frame")), count);
  std::stable_sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  constexpr size_t most = 12;
  const size_t all = counts.size();
  counts.resize(std::min(all, most));
  return list(counts) + (all > most ? concat("; and ", all - most, " sizes more") : "");
}

std::string steps_of(const DatasetSummary& s) {
  std::vector<std::pair<std::string, int64_t>> counts;
  for (const auto& [steps, count] : s.steps) counts.emplace_back(std::to_string(steps), count);
  return list(counts);
}

std::string quality_of(const DatasetSummary& s) {
  std::string out = concat(s.flagged, " flagged");
  for (const char* flag : quality_flags)
    if (const auto found = s.with_flag.find(flag); found != s.with_flag.end() && found->second)
      out += concat(", ", found->second, ' ', flag);
  if (s.alike_is_known) out += concat("; ", s.alike, " look nearly like another one");
  return out;
}

Json at(const Json& json, std::initializer_list<const char*> path) {
  const Json* found = &json;
  for (const char* key : path) {
    if (!found->is_object() || !found->contains(key)) return {};
    found = &found->at(key);
  }
  return *found;
}

std::string text_or_unknown(const Json& json) { return json.is_null() ? "unknown" : text_of(json); }

std::string row(const std::string& name, const std::string& value) { return "| " + name + " | " + value + " |\n"; }

/// The settings that were given, without where files lay on the machine that made it.
Json shown_settings(const DatasetSummary& s) {
  Json shown = Json::object();
  for (const auto& [name, setting] : s.configuration.items()) {
    static const std::vector<std::string> places{"config",      "prompts", "output",       "snapshot",
                                                 "transformer", "vae",     "text-encoder", "tokenizer"};
    const bool empty = setting.is_null() || setting == "" || (setting.is_array() && setting.empty());
    if (!empty && std::find(places.begin(), places.end(), name) == places.end()) shown[name] = setting;
  }
  return shown;
}

}  // namespace

std::string dataset_card(const DatasetSummary& s) {
  const std::string name = name_of_folder(s.folder), model = text_or_unknown(at(s.configuration, {"model"}));
  std::string out = "---\nlicense: unknown\npretty_name: " + Json(name).dump() +
                    "\ntask_categories:\n- text-to-video\ntags:\n- synthetic\n- video\n- pyracast\n"
                    "size_categories:\n- " +
                    size_category(s.done) +
                    "\nconfigs:\n- config_name: default\n  data_files:\n  - metadata.jsonl\n  - videos/**/*.mp4\n---\n";
  out += concat(card_mark, "\n\n# ", name, "\n\n");
  out += concat(counted(s.done, "video"), " made from text by ", model,
                ", a diffusion transformer, with pyracast. All of them are synthetic.\n\n");
  out += "| | |\n|---|---|\n";
  out += row("videos", concat(s.done, s.asked_for ? concat(" of ", *s.asked_for, " asked for") : "", ", ", s.failed, " failed"));
  out += row("size", sizes_of(s));
  out += row("length", fixed(s.video_seconds / 3600, s.video_seconds < 3600 ? 3 : 1) + " hours, " + in_bytes(double(s.video_bytes)) +
                           " of MP4 (H.264)");
  out += row("model", model);
  out += row("denoising steps", steps_of(s));
  const Json policy = at(s.run, {"content", "broadcast"});
  out += row("attention outputs reused",
             s.attentions ? fixed(100 * double(s.attentions_reused) / double(s.attentions), 1) + " %" : "unknown");
  out += row("quality", quality_of(s));
  out += row("made by",
             "pyracast " + text_or_unknown(at(s.run, {"version", "pyracast"})) + " (" + text_or_unknown(at(s.run, {"version", "revision"})) + ")");
  out += row("fingerprint", text_or_unknown(at(s.run, {"fingerprint"})));
  out += "| licence | unknown: that of the model's weights and of the prompts decides |\n\n";
  out +=
      "## What is where\n\n`metadata.jsonl` has a line a video: `file_name`, the prompt as given and as encoded, seed, size, steps, "
      "guidance, SHA-256, and\n"
      "what its pixels show. `load_dataset` of this folder, as it lies or by its name on the Hub, reads it. `index.h5` and `shards/` hold the "
      "same as columns, and\n"
      "when, where and in which time each video was made, step by step. `near_duplicates.jsonl` names videos that look nearly "
      "alike.\n\n"
      "A flag drops nothing: `black`, `frozen` and `saturated` videos are in the set; leave them out by `quality_flags`.\n\n";
  out += "## Settings\n\n```json\n" + shown_settings(s).dump(1) + "\n```\n";
  if (policy.is_object())
    out += "\nBroadcasting (attention outputs reused over several steps):\n\n```json\n" + policy.dump(1) + "\n```\n";
  const Json weights = at(s.run, {"content", "snapshot"});
  if (weights.is_object()) {
    out += "\n## Weights\n\nSHA-256 of the files that the videos were made with:\n\n";
    for (const auto& [part, files] : weights.items())
      if (files.is_object() && part != "model_index")
        for (const auto& [file, hash] : files.items()) out += "- `" + part + "/" + file + "` " + text_or_unknown(hash) + "\n";
  }
  return out;
}

}  // namespace pyracast
