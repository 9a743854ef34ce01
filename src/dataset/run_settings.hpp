#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "base/json.hpp"

namespace pyracast {

/// The settings that samples of a dataset were made with. A folder has one of them, and more where a run was allowed to go on
/// with others (--on-change only-new); each lies in work/settings/<fingerprint>.json.
struct RunSettings {
  Json content;         ///< what the fingerprint is the SHA-256 of: settings and files that change pixels; null where it is not known any more
  Json configuration;   ///< all settings; null where it is not known any more
  Json version;         ///< of the program and its libraries
};

/// All of a folder, by fingerprint; also what run.json and work/fingerprint.json say, in a folder that an earlier version
/// of this program began or that has lost its work/. A file that does not fit its name is left out.
std::map<std::string, RunSettings> settings_of_dataset(const std::filesystem::path& output);

/// Those that sealed shards name: the folder may have lost its work/. A broken shard names none.
std::map<std::string, RunSettings> settings_of_shards(const std::filesystem::path& output);

/// Adds settings to a folder, where they are not there yet.
void keep_settings(const std::filesystem::path& output, const std::string& fingerprint, const RunSettings& settings);

}  // namespace pyracast
