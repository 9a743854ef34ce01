#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "dataset/sample.hpp"

namespace pyracast {

/// A row as it lies in a dataset, without its arrays where it is a shard's.
struct StoredRow {
  const SampleRecord& record;
  const std::string& fingerprint;      ///< of the settings it was made with
  const std::filesystem::path& file;   ///< a shard or journal
  size_t number = 0;                   ///< in that file, from 0
  bool in_journal = false;
};

/// Calls `each` with the rows of all shards, then of all journals, until it gives false. Reads only; a shard that is not sound
/// and what follows the sound records of a journal are passed over. A sample that a kill left in a shard and in a journal
/// comes twice.
void for_each_row(const std::filesystem::path& output, const std::function<bool(const StoredRow&)>& each);

}  // namespace pyracast
