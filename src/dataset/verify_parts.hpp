#pragma once
// The parts of verify() that look at what is derived from the shards, and at what belongs to nobody.
#include "dataset/sample_tally.hpp"
#include "dataset/verify.hpp"

namespace pyracast {

/// Holds index.h5, metadata.jsonl and run.json against the shards. True where they say all that the shards hold; false, with
/// a note, where they are behind, as they are until a run has ended.
bool check_derived_files(const std::filesystem::path& output, Verification& found, const TellStep& tell);

/// Finds files that belong to nobody. `owned` are the hash_of_id of all videos' paths. What a killed job leaves is told in
/// a note unless the dataset is settled.
void look_for_strays(const std::filesystem::path& output, std::vector<uint64_t> owned, const Manifest& manifest,
                     const SampleTally& tally, Verification& found);

}  // namespace pyracast
