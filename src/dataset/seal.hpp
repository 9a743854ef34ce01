#pragma once
// What stands behind the HDF5 file of a shard or an index, where HDF5 does not look: "PYRASEAL", the run's fingerprint, and the SHA-256 of
// all that is before, both hexadecimal. HDF5 1.10 may crash on a file that is damaged, so this is looked at first.
#include <filesystem>
#include <string>

namespace pyracast {

/// Writes the seal behind a file that is whole otherwise.
void append_seal(const std::filesystem::path& path, const std::string& fingerprint);

/// Reads all of the file once. Throws Error where its bytes do not fit its seal; gives the SHA-256 of the whole file, seal and all.
std::string check_seal(const std::filesystem::path& path);

/// The fingerprint in the seal; nothing is held against it.
std::string sealed_fingerprint(const std::filesystem::path& path);

}  // namespace pyracast
