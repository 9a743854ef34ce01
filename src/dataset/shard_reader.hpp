#pragma once
#include <map>

#include "dataset/shard_file.hpp"

namespace pyracast {

/// A sealed shard, read sample by sample with its arrays. Throws Error naming the file where it is not sound.
class ShardReader {
 public:
  explicit ShardReader(const std::filesystem::path& path, ShardCheck check = ShardCheck::seal);

  size_t size() const { return rows_.size(); }
  /// All rows without their arrays.
  const std::vector<SampleRecord>& rows() const { return rows_; }
  /// All rows with their step_seconds and step_counts.
  std::vector<SampleRecord> rows_with_steps() const;
  /// The run's configuration, JSON text.
  std::string configuration() const { return hdf5::read_text_attribute(file_, "configuration"); }
  /// One row with its arrays, whose checksums are checked on the way.
  SampleRecord whole(size_t row) const;

 private:
  std::filesystem::path path_;
  std::vector<SampleRecord> rows_;
  hdf5::Handle file_;
  std::vector<int64_t> step_offsets_;
  std::map<size_t, hsize_t> clips_;   // row -> position in its frames_<...>

  template <class Element>
  SampleArray<Element> array(const std::string& name, size_t row, size_t axes) const;
};

}  // namespace pyracast
