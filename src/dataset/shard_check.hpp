#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace pyracast {

struct CheckedShard {
  std::string sha256;   ///< of the file
  uint64_t bytes = 0;   ///< of values
};

/// Holds a shard against its seal, reads every dataset of it to its end, so that HDF5 meets every checksum, and holds the offsets and
/// shapes of its arrays against one another. Memory does not grow with the arrays. Throws Error naming the file and the dataset; with the
/// environment's code where the system cannot read it.
CheckedShard check_shard(const std::filesystem::path& path);

}  // namespace pyracast
