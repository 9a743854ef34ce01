#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/tell_step.hpp"

namespace pyracast {

struct RetryOptions {
  std::filesystem::path output;
  /// Failures whose reason contains one of these, or whose class is one of them; empty: all.
  std::vector<std::string> classes;
  bool dry_run = false;   ///< only count
};

struct Retried {
  std::map<std::string, uint64_t> undone, kept;   ///< failed samples by class
  std::vector<std::string> notes;
};

/// Takes failed samples out of the shards and journals, so that the same `generate` command makes them again; what is done
/// stays as it is. Each shard changes in one rename, and the index is made anew at the end: a kill in between leaves some of
/// the samples undone and an index to be made, and the same call goes on. The caller holds the folder's lock.
Retried retry_failed(const RetryOptions& options, const TellStep& tell = {});

}  // namespace pyracast
