#pragma once
#include <filesystem>

#include "base/json.hpp"
#include "base/tell_step.hpp"
#include "dataset/sample.hpp"

namespace pyracast {

/// What a dataset holds, counted.
struct DatasetCounts {
  int64_t done = 0, failed = 0, shards = 0;
  int64_t flagged = 0;                                          ///< finished samples with a quality flag at least
  std::array<int64_t, quality_flags.size()> with_flag{};        ///< by flag
  int64_t near_duplicates = 0, near_duplicate_groups = 0;       ///< finished samples in groups of two and more, and the groups
};

/// Rebuilds what is derived from the sealed shards of an output folder, each file by temporary name and rename:
///   index.h5         every column of all shards, copied, and the list of shards with rows and SHA-256 (index_file.hpp)
///   metadata.jsonl   a line a finished video, `file_name` first (Hugging Face's videofolder, pandas.read_json)
///   near_duplicates.jsonl   a line a finished video that looks nearly like another one, with the number of their group
///   run.json         `run`, as given, with the counts
/// Gives the counts. Throws Error naming a shard that cannot be read.
DatasetCounts derive(const std::filesystem::path& output, Json run, const TellStep& tell = {});

/// The line of metadata.jsonl of a finished sample, with its line break.
std::string metadata_line(const SampleRecord& sample);

/// Removes index.h5, and the parts that one of an earlier version had: for whoever changes shards, which it would show wrongly. derive() makes it
/// anew.
void remove_index(const std::filesystem::path& output);

}  // namespace pyracast
