#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "dataset/derive.hpp"

namespace pyracast {

struct Joined {
  DatasetCounts counts;
  uint64_t asked_for = 0;   ///< by the manifests of all parts
  std::vector<std::string> missing_parts;   ///< "2/4": no prompt of that part of the manifest is there, although others were made with --part
};

/// Makes one dataset of parts that were made with the same settings: their videos and shards get second names in `output` (hard
/// links; copies on another file system), the kept manifests become one, and the index is made anew. The parts stay as they are, and
/// nothing is read or written twice: the same call goes on after a kill, or adds a part. Throws Error where `output` was made by generate,
/// settings differ, a sample stands in two parts, a part still has a journal or is in use. `output` has a folder work/, and the caller holds
/// its lock.
/// `say` is called with what a user should know.
Joined join_datasets(const std::filesystem::path& output, const std::vector<std::filesystem::path>& parts,
                     const std::function<void(const std::string&)>& say, const TellStep& tell = {});

/// Parts of an array job that the folder lacks, as the join that made it has written into run.json; none where another job wrote that.
std::vector<std::string> unjoined_parts(const std::filesystem::path& output);

}  // namespace pyracast
