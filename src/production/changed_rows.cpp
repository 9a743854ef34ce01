#include "production/changed_rows.hpp"

#include "base/file.hpp"
#include "production/sample_records.hpp"

namespace pyracast {

namespace {

constexpr size_t most_described = 5;

template <class T>
std::string change(const char* name, const T& was, const T& is) {
  return concat(name, " was ", Json(was).dump(-1, ' ', false, Json::error_handler_t::replace), ", is ",
                Json(is).dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

ChangedRows::ChangedRows(const Manifest& manifest, const GenerateSettings& settings, const VideoRequests& requests, std::string fingerprint)
    : manifest_(manifest), settings_(settings), requests_(requests), fingerprint_(std::move(fingerprint)) {}

std::string ChangedRows::change_of(const SampleRecord& made, const Prompt& row, bool same_settings) const {
  if (made.prompt != row.text) return change("prompt", made.prompt, row.text);
  if (row.seed && made.seed != *row.seed) return change("seed", made.seed, *row.seed);
  if (!same_settings) return "";
  const VideoRequest request = requests_(row);
  const SampleRecord asked = record_asked_for(row, uint32_t(made.sample), request, settings_, requests_.broadcast());
  if (made.seed != asked.seed) return change("seed", made.seed, asked.seed);
  const Json further = Json::parse(made.settings);
  const int64_t height = further.value("height", made.height), width = further.value("width", made.width);   // as was asked for
  if (height != asked.height) return change("height", height, asked.height);
  if (width != asked.width) return change("width", width, asked.width);
  if (request.clips == 1 && made.frames != asked.frames) return change("frames", made.frames, asked.frames);
  if (made.fps != asked.fps) return change("fps", made.fps, asked.fps);
  if (made.steps != asked.steps) return change("steps", made.steps, asked.steps);
  if (made.guidance != asked.guidance) return change("guidance", made.guidance, asked.guidance);
  if (const std::string was = settings_asked_for(further); was != asked.settings) return change("settings", was, asked.settings);
  return settings_.check_files && further.contains("reference_sha256") ? change_of_references(request, further["reference_sha256"]) : "";
}

std::string ChangedRows::change_of_references(const VideoRequest& request, const Json& were) const {
  const std::vector<std::string> files = requests_.references(request).files;
  for (size_t i = 0; i < files.size(); ++i) {
    const auto file = folder_of_references(settings_) / files[i];
    if (!std::filesystem::is_regular_file(file)) continue;   // it is not needed any more
    if (const Json is = sha256_of_file(file); is != were.at(i)) return change(concat("the SHA-256 of ", files[i]).c_str(), were.at(i), is);
  }
  return "";
}

void ChangedRows::look_at(const SampleRecord& made, const std::string& fingerprint) {
  const auto prompt = manifest_.find_by_hash(made.id);
  if (!prompt || made.sample < 0 || uint64_t(made.sample) >= manifest_.entry(*prompt).samples) return;
  const Prompt row = manifest_.row(*prompt);
  if (row.id != made.id) return;
  if (std::string what = change_of(made, row, fingerprint == fingerprint_); !what.empty()) all_.push_back({made.id, made.sample, std::move(what)});
}

std::string described(const std::vector<ChangedRow>& rows) {
  std::string text;
  for (size_t i = 0; i < std::min(rows.size(), most_described); ++i)
    text += concat("\n  ", rows[i].id, " sample ", rows[i].sample, ": ", rows[i].change);
  if (rows.size() > most_described) text += concat("\n  and ", rows.size() - most_described, " more");
  return text;
}

}  // namespace pyracast
