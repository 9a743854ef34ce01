#pragma once
#include <filesystem>
#include <functional>

#include "dataset/sample.hpp"

namespace pyracast {

/// Takes rows out of a sealed shard: the others go to a new one, arrays and all, which replaces it in one rename. A shard
/// that keeps all its rows is left as it is, one that keeps none is removed. Gives the number of rows taken out. The caller
/// holds the folder's lock.
size_t rewrite_shard(const std::filesystem::path& path, const std::function<bool(const SampleRecord&)>& keep);

}  // namespace pyracast
