#pragma once
#include <filesystem>

#include "base/json.hpp"
#include "dataset/sample.hpp"

namespace pyracast {

/// Rebuilds what is derived from the sealed shards of an output folder, each file by temporary name and rename:
///   index.h5         every column of all shards as virtual datasets, and the list of shards with rows and SHA-256
///   metadata.jsonl   a line a finished video, `file_name` first (Hugging Face's videofolder, pandas.read_json)
///   run.json         `run`, as given, with the counts
/// HDF5 opens every source of a virtual dataset: beyond `most_sources` shards, index.h5 is made of index.part-<n>.h5.
/// Throws Error naming a shard that cannot be read.
void derive(const std::filesystem::path& output, Json run, size_t most_sources = 1000);

/// The line of metadata.jsonl of a finished sample, with its line break.
std::string metadata_line(const SampleRecord& sample);

/// Removes index.h5 and its parts: for whoever changes shards, which it would show wrongly. derive() makes it anew.
void remove_index(const std::filesystem::path& output);

/// Throws Error when a file that index.h5 stands on is missing or a shard has changed: HDF5 itself would read fill values
/// there.
void check_index(const std::filesystem::path& output);

}  // namespace pyracast
