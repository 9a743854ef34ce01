#pragma once
#include <filesystem>
#include <string>

namespace pyracast {

/// While a new manifest takes the place of the one that a folder's finished samples were held against, the old one stays in
/// work/earlier/, until the new one is accepted or the old one put back. Each call may be cut short by a kill and made again.

/// Keeps the folder's manifest. What was kept before and neither accepted nor put back stays in its place.
void keep_manifest(const std::filesystem::path& output);
/// Puts back what was kept, if anything was.
void put_back_manifest(const std::filesystem::path& output);
/// The new manifest, of this fingerprint, is one that all finished samples fit.
void accept_manifest(const std::filesystem::path& output, const std::string& fingerprint);
/// Whether it was accepted, and no other one since.
bool is_accepted(const std::filesystem::path& output, const std::string& fingerprint);

}  // namespace pyracast
