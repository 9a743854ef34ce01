#include "dataset/run_settings.hpp"

#include "base/file.hpp"
#include "dataset/layout.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& output) { return OutputLayout{output}.work() / "settings"; }

void add(const Json& json, std::map<std::string, RunSettings>& all) {
  if (!json.is_object() || !json.contains("content")) return;
  const std::string fingerprint = sha256(json.at("content").dump());
  all.emplace(fingerprint, RunSettings{json.at("content"), json.value("configuration", Json()), json.value("version", Json())});
}

void add_file(const fs::path& file, std::map<std::string, RunSettings>& all) {
  if (fs::exists(file)) add(Json::parse(read_file(file), nullptr, false), all);
}

}  // namespace

std::map<std::string, RunSettings> settings_of_dataset(const fs::path& output) {
  std::map<std::string, RunSettings> all;
  if (fs::is_directory(folder_of(output)))
    for (const auto& entry : fs::directory_iterator(folder_of(output)))
      if (entry.path().extension() == ".json") add_file(entry.path(), all);
  std::erase_if(all, [&](const auto& settings) { return !fs::exists(folder_of(output) / (settings.first + ".json")); });
  add_file(OutputLayout{output}.run(), all);
  const fs::path begun_with = OutputLayout{output}.work() / "fingerprint.json";
  if (fs::exists(begun_with)) add({{"content", Json::parse(read_file(begun_with), nullptr, false)}}, all);
  return all;
}

void keep_settings(const fs::path& output, const std::string& fingerprint, const RunSettings& settings) {
  const fs::path file = folder_of(output) / (fingerprint + ".json");
  if (fs::exists(file)) return;
  make_folder(file.parent_path());
  write_atomically(file, Json{{"content", settings.content}, {"configuration", settings.configuration}, {"version", settings.version}}.dump(1) + "\n");
}

}  // namespace pyracast
