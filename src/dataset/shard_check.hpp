#pragma once
#include <cstdint>
#include <filesystem>

namespace pyracast {

/// Reads every dataset of a shard to its end, so that HDF5 meets every checksum, and holds the offsets and shapes of its
/// arrays against one another. Memory does not grow with the arrays. Gives the bytes of values read; throws Error naming
/// the file and the dataset.
uint64_t check_shard(const std::filesystem::path& path);

}  // namespace pyracast
