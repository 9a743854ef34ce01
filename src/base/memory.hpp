#pragma once
#include <cstdint>
#include <filesystem>

namespace pyracast {

/// Bytes that this process and its like on the node may use together: the machine's memory, or less where a control group
/// around the process says so (versions 1 and 2; batch systems and containers set it).
int64_t memory_limit();
/// The same, from a file system mounted elsewhere than at /.
int64_t memory_limit(const std::filesystem::path& root);

/// The most bytes of this process that were ever resident (VmHWM of proc(5)), files that are mapped included.
int64_t most_resident_bytes();

}  // namespace pyracast
