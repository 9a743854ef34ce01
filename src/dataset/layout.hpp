#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pyracast {

/// Where things lie inside the output folder of a run (docs/dataset-format.md).
struct OutputLayout {
  std::filesystem::path root;

  std::filesystem::path videos() const { return root / "videos"; }
  std::filesystem::path shards() const { return root / "shards"; }
  std::filesystem::path journal() const { return root / "journal"; }
  std::filesystem::path checkpoints() const { return root / "checkpoints"; }
  std::filesystem::path texts() const { return root / "text"; }
  std::filesystem::path logs() const { return root / "logs"; }
  std::filesystem::path work() const { return root / "work"; }
  std::filesystem::path quarantine() const { return root / "quarantine"; }
  std::filesystem::path index() const { return root / "index.h5"; }
  std::filesystem::path metadata() const { return root / "metadata.jsonl"; }
  std::filesystem::path near_duplicates() const { return root / "near_duplicates.jsonl"; }
  std::filesystem::path run() const { return root / "run.json"; }
};

/// The file-system name that stands for an id. It is the id itself where that is [a-z0-9._-]{1,100} and does not begin
/// with '.'; otherwise (other characters, upper case, which some file systems fold, or a name that another id's video
/// might get) a readable part, '-' and the first 16 hexadecimal digits of the id's SHA-256.
std::string safe_name(std::string_view id);

/// The path of a sample's video relative to the output folder: videos/<2 hex>/<2 hex>/<safe name>[_<sample>].mp4, the
/// folders from the id's SHA-256. Sample 0 has no suffix, so that asking for more samples later renames nothing. Two
/// different (id, sample) never share a path, save for equal 64-bit hashes.
std::string video_path(std::string_view id, int sample);

/// Throws Error where make_folder could not make the folder, or nothing could be written in it; makes nothing. For jobs that compute long before
/// they write.
void check_folder(const std::filesystem::path& folder);

/// Creates a folder with its parents and makes their names durable (fsync of each parent that got a new entry).
void make_folder(const std::filesystem::path& folder);

/// Throws Error where the folder holds something and no dataset: what is the user's is neither written over nor removed. Empty folders may
/// lie there (a run that was killed at once leaves some), jobs' logs, and `given`, the run's own manifest and settings.
void check_free_for_dataset(const std::filesystem::path& folder, const std::vector<std::filesystem::path>& given = {});

/// Whether it is a file that the program itself was writing when it ended, in `output`, its shards/, journal/ or work/.
bool is_temporary_file(const std::filesystem::path& output, const std::filesystem::path& file);

/// Moves a file that is not to be trusted into the quarantine folder, under a name that is free there; gives that path.
std::filesystem::path move_to_quarantine(const OutputLayout& layout, const std::filesystem::path& file);

}  // namespace pyracast
