#pragma once
#include <filesystem>

#include "base/json.hpp"

namespace pyracast {

/// Rebuilds what is derived from the sealed shards of an output folder, each file by temporary name and rename:
///   index.h5         every column of all shards as virtual datasets, and the list of shards with rows and SHA-256
///   metadata.jsonl   a line a finished video, `file_name` first (Hugging Face's videofolder, pandas.read_json)
///   run.json         `run`, as given, with the counts
/// Throws Error naming a shard that cannot be read.
void derive(const std::filesystem::path& output, Json run);

/// Throws Error when a shard that index.h5 names is missing or has changed: HDF5 itself would read fill values there.
void check_index(const std::filesystem::path& output);

}  // namespace pyracast
