#pragma once
#include "comm/ranks.hpp"
#include "dataset/manifest.hpp"

namespace pyracast {

/// Manifest::build on world rank 0, opened by every rank of every node. An Error in the manifest is thrown on all ranks
/// alike. All ranks call this; `output` must lie on a file system that all nodes see.
Manifest build_manifest(const Ranks& ranks, const std::string& source, const std::filesystem::path& output,
                        const ManifestOptions& options = {});

}  // namespace pyracast
