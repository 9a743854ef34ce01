#include <algorithm>

#include "base/counted.hpp"
#include "dataset/layout.hpp"
#include "dataset/verify_parts.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// Calls `each` with every file below the folder, in no order; a million paths are not kept.
void for_each_file(const fs::path& folder, const std::function<void(const fs::path&)>& each) {
  if (fs::is_directory(folder))
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (!entry.is_directory()) each(entry.path());
}

bool is_shard(const fs::path& path) { return path.extension() == ".h5" && path.filename().string().starts_with("shard-"); }

}  // namespace

void look_for_strays(const fs::path& output, std::vector<uint64_t> owned, const Manifest& manifest, const SampleTally& tally,
                     Verification& found) {
  const OutputLayout layout{output};
  std::sort(owned.begin(), owned.end());
  const auto is_owned = [&](const std::vector<uint64_t>& hashes, const fs::path& path) {
    return std::binary_search(hashes.begin(), hashes.end(), hash_of_id(path.lexically_relative(output).string()));
  };
  std::vector<fs::path> unowned, temporary;
  const auto sort_out = [&](const fs::path& path, bool belongs) {
    if (path.extension() == ".tmp") temporary.push_back(path);
    else if (!belongs) unowned.push_back(path);
  };
  for_each_file(layout.videos(), [&](const fs::path& path) { sort_out(path, is_owned(owned, path)); });
  for_each_file(layout.shards(), [&](const fs::path& path) { sort_out(path, is_shard(path)); });
  for (const fs::path& folder : {layout.journal(), layout.checkpoints(), layout.texts(), layout.work()})
    for_each_file(folder, [&](const fs::path& path) { sort_out(path, true); });
  for (const auto& entry : fs::directory_iterator(output))
    if (entry.is_regular_file() && is_temporary_file(output, entry.path())) temporary.push_back(entry.path());   // else the user's

  std::sort(unowned.begin(), unowned.end());
  std::sort(temporary.begin(), temporary.end());

  // A video that was renamed into place just before a kill is made again, under the same name.
  std::vector<uint64_t> to_come;
  if (!unowned.empty())
    tally.for_each_left([&](uint64_t prompt, uint32_t sample) {
      to_come.push_back(hash_of_id(video_path(manifest.row(prompt).id, int(sample))));
    });
  std::sort(to_come.begin(), to_come.end());
  size_t leftovers = 0;
  const auto add = [&](const fs::path& path, const char* what, bool may_be) {
    if (may_be) ++leftovers;
    else found.add({Defect::stray, path.lexically_relative(output).string(), what});
  };
  for (const fs::path& path : unowned) add(path, "belongs to no sample", is_owned(to_come, path));
  for (const fs::path& path : temporary) add(path, "is a temporary file that was left behind", !found.settled);
  if (leftovers && found.running.empty())
    found.notes.push_back(concat(counted(leftovers, "file is", "files are"),
                                 " what a job was writing when it was killed; the same generate command makes ", leftovers == 1 ? "it" : "them",
                                     " anew"));
  size_t aside = 0;
  for_each_file(layout.quarantine(), [&](const fs::path&) { ++aside; });
  if (aside)
    found.notes.push_back(concat(counted(aside, "file was", "files were"), " put aside earlier (quarantine/)"));
}

}  // namespace pyracast
