#include "dataset/earlier_manifest.hpp"

#include "base/error.hpp"
#include "base/file.hpp"
#include "dataset/layout.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

fs::path work(const fs::path& output) { return OutputLayout{output}.work(); }
fs::path earlier(const fs::path& output) { return work(output) / "earlier"; }
fs::path accepted(const fs::path& output) { return work(output) / "manifest.accepted"; }

std::vector<fs::path> row_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("manifest-") && name.ends_with(".jsonl")) files.push_back(entry.path());
  }
  return files;
}

/// A second name; a copy where the file system has no second names.
void link(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (error) fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  if (error) fail_at_the_disk(to, "cannot be made", error.value());
}

}  // namespace

void keep_manifest(const fs::path& output) {
  const fs::path folder = earlier(output), index = work(output) / "manifest.index";
  if (!fs::exists(index) || fs::exists(folder / "manifest.index")) return;
  fs::remove_all(folder);   // half of it, left by a kill
  make_folder(folder);
  for (const fs::path& rows : row_files(work(output))) link(rows, folder / rows.filename());
  link(index, folder / "manifest.index");   // last: it says that all is there
  sync_folder(folder);
}

void put_back_manifest(const fs::path& output) {
  const fs::path folder = earlier(output), index = work(output) / "manifest.index";
  if (!fs::exists(folder / "manifest.index")) return;
  const auto rows = row_files(folder);
  for (const fs::path& path : rows)
    if (!fs::exists(work(output) / path.filename())) link(path, work(output) / path.filename());
  publish(folder / "manifest.index", index);
  for (const fs::path& path : row_files(work(output)))
    if (!fs::exists(folder / path.filename())) fs::remove(path);
  fs::remove_all(folder);
}

void accept_manifest(const fs::path& output, const std::string& fingerprint) {
  write_atomically(accepted(output), fingerprint);
  fs::remove_all(earlier(output));
}

bool is_accepted(const fs::path& output, const std::string& fingerprint) {
  return fs::exists(accepted(output)) && read_file(accepted(output)) == fingerprint;
}

}  // namespace pyracast
