#pragma once
#include <unordered_set>

#include "dataset/prompt_index.hpp"
#include "dataset/sample.hpp"

namespace pyracast {

/// Finds the rows of samples that stand in an earlier row already, as they do where somebody has copied a shard. By 64-bit hashes, as the
/// manifest finds ids: some 40 bytes a sample.
class SecondRows {
 public:
  bool operator()(const SampleRecord& row) { return !met_.insert(hash_of_id(concat(row.id, '\n', row.sample))).second; }

 private:
  std::unordered_set<uint64_t> met_;
};

}  // namespace pyracast
