#pragma once
#include <filesystem>

#include "base/json.hpp"
#include "base/tell_step.hpp"
#include "dataset/hdf5.hpp"
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
///   index.h5         every column of all shards as virtual datasets, and the list of shards with rows and SHA-256
///   metadata.jsonl   a line a finished video, `file_name` first (Hugging Face's videofolder, pandas.read_json)
///   near_duplicates.jsonl   a line a finished video that looks nearly like another one, with the number of their group
///   run.json         `run`, as given, with the counts
/// HDF5 opens every source of a virtual dataset, and takes some 80 kB for each: beyond `most_sources` shards, index.h5 is made of index.part-<n>.h5.
/// Gives the counts. Throws Error naming a shard that cannot be read.
DatasetCounts derive(const std::filesystem::path& output, Json run, const TellStep& tell = {}, size_t most_sources = 250);

/// The line of metadata.jsonl of a finished sample, with its line break.
std::string metadata_line(const SampleRecord& sample);

/// Removes index.h5 and its parts: for whoever changes shards, which it would show wrongly. derive() makes it anew.
void remove_index(const std::filesystem::path& output);

/// What a column of index.h5 ("content/id") shows: the shards, relative to `output`, and how many rows of each, one behind the other.
/// Neither shards nor values are read. Throws Error where it shows anything else than whole columns of that name, or an
/// index.part-<n>.h5 is missing.
std::vector<hdf5::VirtualRows> indexed_rows(const std::filesystem::path& output, const std::string& column);

/// Throws Error when a file that index.h5 stands on is missing or a shard has changed: HDF5 itself would read fill values
/// there.
void check_index(const std::filesystem::path& output);

}  // namespace pyracast
