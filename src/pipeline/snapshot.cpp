#include "pipeline/snapshot.hpp"

#include <algorithm>

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// The folder of a part: as the index names it ("vae": "vae"; diffusers' ["diffusers", "AutoencoderKL"] names a class), else
/// the first of `usual` that is there.
fs::path folder_of(const fs::path& snapshot, const SnapshotPaths& found, const char* key, const std::vector<std::string>& usual) {
  if (found.index.contains(key) && !found.index.at(key).is_array())
    return snapshot / value<std::string>(found.index, key, found.index_file.string());
  for (const std::string& name : usual)
    if (fs::exists(snapshot / name)) return snapshot / name;
  return snapshot / usual.front();
}

/// The folders of a snapshot whose config.json names this class.
std::vector<std::string> variants(const fs::path& snapshot, const std::string& class_name) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(snapshot)) {
    const fs::path config = entry.path() / "config.json";
    if (!fs::exists(config)) continue;
    if (value_or<std::string>(read_json(config), "_class_name", "", config.string()) == class_name) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

fs::path transformer_in(const fs::path& snapshot, const SnapshotPaths& found, const SnapshotLayout& layout) {
  const fs::path folder = folder_of(snapshot, found, "transformer", {"transformer"});
  if (fs::exists(folder) || layout.transformer_class.empty()) return folder;
  const std::vector<std::string> names = variants(snapshot, layout.transformer_class);
  require(names.size() <= 1, snapshot.string(), ": holds the model in several sizes, ", names, ": say which by --transformer ",
          (snapshot / (names.empty() ? "" : names.front())).string());
  return names.empty() ? folder : snapshot / names.front();
}

}  // namespace

std::vector<std::pair<std::string, fs::path>> SnapshotPaths::parts() const {
  std::vector<std::pair<std::string, fs::path>> all{
      {"transformer", transformer}, {"vae", vae}, {"text_encoder", text_encoder}, {"tokenizer", tokenizer}, {"scheduler", scheduler}};
  std::erase_if(all, [](const auto& part) { return part.second.empty(); });
  return all;
}

namespace {

/// The snapshot's model_index.json, if it has one.
void read_index(const fs::path& snapshot, SnapshotPaths& found) {
  require(fs::is_directory(snapshot), snapshot.string(), ": is not a folder (expected the model's folder: --snapshot)");
  found.index_file = snapshot / "model_index.json";
  if (fs::exists(found.index_file)) found.index = read_json(found.index_file);
}

}  // namespace

fs::path find_transformer(const fs::path& snapshot, const SnapshotLayout& layout) {
  SnapshotPaths found;
  read_index(snapshot, found);
  return transformer_in(snapshot, found, layout);
}

SnapshotPaths find_snapshot(const fs::path& snapshot, const SnapshotPaths& given, const SnapshotLayout& layout) {
  SnapshotPaths found = given;
  if (!snapshot.empty()) {
    read_index(snapshot, found);
    if (found.transformer.empty()) found.transformer = transformer_in(snapshot, found, layout);
    if (found.vae.empty()) found.vae = folder_of(snapshot, found, "vae", layout.vae);
    if (found.text_encoder.empty()) found.text_encoder = folder_of(snapshot, found, "text_encoder", {"text_encoder"});
    if (found.tokenizer.empty()) {
      const fs::path own = folder_of(snapshot, found, "tokenizer", {"tokenizer"});
      found.tokenizer = found.index.contains("tokenizer") || fs::exists(own) ? own : found.text_encoder;
    }
    if (layout.scheduler && found.scheduler.empty()) {
      const fs::path file = folder_of(snapshot, found, "scheduler", {"scheduler"}) / "scheduler_config.json";
      if (fs::exists(file)) found.scheduler = file;
    }
  }
  if (found.tokenizer.empty()) found.tokenizer = found.text_encoder;
  if (fs::is_directory(found.scheduler)) found.scheduler /= "scheduler_config.json";
  const auto check = [](const fs::path& part, const char* key, const char* option) {
    require(!part.empty(), "where the ", key, " lies is not known: give --snapshot DIR, or --", option, " DIR");
    require(fs::exists(part), part.string(), ": does not exist (expected the ", key, "; --", option, " DIR names another place)");
  };
  check(found.transformer, "transformer", "transformer");
  check(found.vae, "vae", "vae");
  check(found.text_encoder, "text_encoder", "text-encoder");
  check(found.tokenizer, "tokenizer", "tokenizer");
  if (!found.scheduler.empty()) check(found.scheduler, "scheduler", "scheduler");
  return found;
}

}  // namespace pyracast
