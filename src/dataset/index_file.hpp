#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "dataset/hdf5.hpp"
#include "dataset/sample.hpp"

namespace pyracast {

inline constexpr int64_t index_format_version = 5;

/// index.h5 while it is written: every column of the shards, copied, one shard behind the other, so that who reads it needs no shard, and
/// the list of the shards. It is sealed as they are (seal.hpp). Memory does not grow with the rows.
class IndexFile {
 public:
  explicit IndexFile(const std::filesystem::path& temporary);
  /// A shard by its name, relative to the output folder, and its SHA-256.
  void append(const std::string& name, const std::string& sha256, const std::vector<SampleRecord>& rows);
  const std::vector<std::string>& shards() const { return names_; }
  /// Writes the list, closes, and renames the file to `path`.
  void publish_as(const std::filesystem::path& path, const std::string& fingerprint);

 private:
  std::filesystem::path temporary_;
  hdf5::Handle file_, content_, provenance_, text_;
  std::vector<hdf5::GrowingDataset> columns_;   // in the order of SampleRecord::fields
  std::vector<std::string> names_, hashes_;
  std::vector<int64_t> rows_;
};

/// The shards that an index lists.
struct IndexedShards {
  int64_t format_version = 0;   ///< before 5 the columns were virtual datasets over the shards, and nothing was sealed
  std::vector<std::string> names, hashes;
  std::vector<int64_t> rows;
};

/// Reads the list where a crash of HDF5 does no harm; nothing is held against the seal. Throws Error where it cannot be read.
IndexedShards shards_in_index(const std::filesystem::path& path);

}  // namespace pyracast
