#include "jobs/presets.hpp"

#include "base/error.hpp"

namespace pyracast {

namespace fs = std::filesystem;

fs::path presets_folder() {
  for (fs::path folder = fs::read_symlink("/proc/self/exe"); folder.has_relative_path();) {
    folder = folder.parent_path();
    if (const fs::path presets = folder / "configs" / "broadcast"; fs::is_directory(presets)) return presets;
  }
  return {};
}

fs::path broadcast_file(const fs::path& given) {
  if (fs::exists(given) || given.extension() == ".json") return given;   // one that is not there is told by who reads it
  // A config file's folder may stand before the name.
  const fs::path folder = presets_folder(), preset = folder / (given.filename().string() + ".json");
  require(!folder.empty() && fs::exists(preset), given.string(), ": is no file, and ",
          folder.empty() ? "there is no folder configs/broadcast beside the program or above it" : concat("no preset of ", folder.string()));
  return preset;
}

}  // namespace pyracast
