#include "dataset/run_settings.hpp"

#include "base/file.hpp"
#include "dataset/layout.hpp"
#include "dataset/shard_file.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& output) { return OutputLayout{output}.work() / "settings"; }

void add(const Json& json, std::map<std::string, RunSettings>& all) {
  if (!json.is_object() || !json.contains("content")) return;
  const Json& content = json.at("content");
  const std::string fingerprint = content.is_null() ? json.value("fingerprint", "") : sha256(content.dump());
  all.emplace(fingerprint, RunSettings{json.at("content"), json.value("configuration", Json()), json.value("version", Json())});
}

/// An empty object where the file is not there or holds none.
Json read_leniently(const fs::path& file) {
  const Json json = fs::exists(file) ? Json::parse(read_file(file), nullptr, false) : Json::object();
  return json.is_object() ? json : Json::object();
}

void add_file(const fs::path& file, std::map<std::string, RunSettings>& all) {
  add(read_leniently(file), all);
}

}  // namespace

std::map<std::string, RunSettings> settings_of_dataset(const fs::path& output) {
  std::map<std::string, RunSettings> all;
  if (fs::is_directory(folder_of(output)))
    for (const auto& entry : fs::directory_iterator(folder_of(output)))
      if (entry.path().extension() == ".json") add_file(entry.path(), all);
  std::erase_if(all, [&](const auto& settings) { return !fs::exists(folder_of(output) / (settings.first + ".json")); });
  add_file(OutputLayout{output}.run(), all);
  for (const Json& earlier : read_leniently(OutputLayout{output}.run()).value("earlier", Json::array())) add(earlier, all);
  const fs::path begun_with = OutputLayout{output}.work() / "fingerprint.json";
  if (fs::exists(begun_with)) add({{"content", Json::parse(read_file(begun_with), nullptr, false)}}, all);
  return all;
}

std::map<std::string, RunSettings> settings_of_shards(const fs::path& output) {
  const auto known = settings_of_dataset(output);
  std::map<std::string, RunSettings> all;
  for (const fs::path& shard : sealed_shards(OutputLayout{output}.shards())) {
    try {
      const std::string fingerprint = shard_fingerprint(shard);
      if (all.contains(fingerprint)) continue;
      if (const auto found = known.find(fingerprint); found != known.end()) {
        all.insert(*found);
        continue;
      }
      check_shard_seal(shard);   // before HDF5 sees it
      all[fingerprint] = {Json(), Json::parse(hdf5::read_text_attribute(hdf5::open_file(shard), "configuration"), nullptr, false), Json()};
    } catch (const Error& error) {
      if (error.code == ExitCode::environment) throw;
    }
  }
  return all;
}

void keep_settings(const fs::path& output, const std::string& fingerprint, const RunSettings& settings) {
  const fs::path file = folder_of(output) / (fingerprint + ".json");
  if (fs::exists(file)) return;
  make_folder(file.parent_path());
  write_atomically(file, Json{{"fingerprint", fingerprint}, {"content", settings.content}, {"configuration", settings.configuration},
                              {"version", settings.version}}.dump(1) + "\n");
}

}  // namespace pyracast
