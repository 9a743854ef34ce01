#include "settings/presets.hpp"

#include <set>

#include "base/error.hpp"
#include "base/json.hpp"

namespace pyracast {

namespace fs = std::filesystem;

namespace {

/// "demo-246, demo-579, …"
std::string names_in(const fs::path& presets) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(presets)) names.insert(entry.path().stem().string());
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

fs::path presets_folder() {
  for (fs::path folder = fs::read_symlink("/proc/self/exe"); folder.has_relative_path();) {
    folder = folder.parent_path();
    if (const fs::path presets = folder / "configs" / "broadcast"; fs::is_directory(presets)) return presets;
  }
  return {};
}

fs::path broadcast_file(const fs::path& given) {
  if (fs::exists(given) || given.extension() == ".json") return given;   // one that is not there is told by who reads it
  const fs::path folder = presets_folder();
  require(!folder.empty(), given.string(), ": is no file, and there is no folder configs/broadcast beside the program or above it: give a JSON file");
  const fs::path preset = folder / (given.filename().string() + ".json");   // a config file's folder may stand before the name
  require(fs::exists(preset), given.string(), ": is no file and no preset, expected a JSON file or one of ", names_in(folder));
  return preset;
}

BroadcastPolicy broadcast_policy(const fs::path& given) {
  if (given.empty()) return {};
  const fs::path file = broadcast_file(given);
  const Json json = read_json(file);
  require(json.is_object(), file.string(), ": is ", json.type_name(), ", expected an object");   // null: of a setting, not of a file
  return BroadcastPolicy(json, file.string());
}

}  // namespace pyracast
