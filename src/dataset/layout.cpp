#include "dataset/layout.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.hpp"
#include "base/file.hpp"

namespace pyracast {

namespace {

constexpr size_t longest_name = 100, longest_readable_part = 60, hash_digits = 16, folder_digits = 4;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }
bool is_plain(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || c == '.' || c == '_' || c == '-'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

/// `name` without a suffix "_<n>" as samples 1, 2, ... have it; `name` itself where there is none.
std::string_view without_sample(std::string_view name) {
  const size_t last = name.find_last_not_of("0123456789");
  if (last == std::string_view::npos || last + 1 == name.size() || name[last] != '_' || name[last + 1] == '0') return name;
  return name.substr(0, last);
}

bool ends_in_hash(std::string_view name, std::string_view folder) {
  if (name.size() < hash_digits + 1 || name[name.size() - hash_digits - 1] != '-') return false;
  const std::string_view hash = name.substr(name.size() - hash_digits);
  return std::all_of(hash.begin(), hash.end(), is_hex) && hash.starts_with(folder);
}

/// Whether the video of another id may lie in the same folder under this name: sample n of the id before "_<n>", or an
/// id whose name carries a hash.
bool could_be_anothers(std::string_view id, std::string_view folder) {
  const std::string_view stem = without_sample(id);
  if (stem != id && sha256(stem).substr(0, folder_digits) == folder) return true;
  return ends_in_hash(id, folder) || ends_in_hash(stem, folder);
}

std::string readable_part(std::string_view id) {
  std::string part;
  for (const char c : id) {
    if (part.size() == longest_readable_part) break;
    if (part.empty() && c == '.') continue;
    if (is_plain(c) || is_upper(c)) part += c;
    else if (part.empty() || part.back() != '_') part += '_';
  }
  return part.empty() ? "id" : part;
}

bool holds_files(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (!entry.is_directory()) return true;
  return false;
}

bool holds_dataset(const OutputLayout& layout) {
  if (std::filesystem::exists(layout.work() / "lock")) return true;   // made before anything else
  if (std::filesystem::is_directory(layout.shards()))                 // or whoever copied it left work/ out
    for (const auto& entry : std::filesystem::recursive_directory_iterator(layout.shards()))
      if (entry.path().extension() == ".h5" && entry.path().filename().string().starts_with("shard-")) return true;
  return false;
}

/// Files of the folder itself that the program writes, save the parts of an index.
bool is_written(std::string_view name) {
  static constexpr std::string_view names[] = {"index.h5", "metadata.jsonl", "near_duplicates.jsonl", "run.json", "rejected.jsonl", "report.html",
                                               "README.md"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// What a dataset's folder may hold before its first run.
bool may_come_first(const std::filesystem::directory_entry& entry, const std::vector<std::filesystem::path>& given) {
  const std::string name = entry.path().filename().string(), ending = entry.path().extension().string();
  if (entry.is_directory()) return name == "logs" || !holds_files(entry.path());
  if (ending == ".log" || ending == ".out" || ending == ".err") return true;   // `submit --logs`
  std::error_code absent;
  return !is_written(name) && std::any_of(given.begin(), given.end(), [&](const auto& file) { return equivalent(file, entry.path(), absent); });
}

[[noreturn]] void fail_as_no_folder(const std::filesystem::path& path) {
  const bool is_link = std::filesystem::is_symlink(path);
  throw Error(concat(path.string(), ": is no folder but ", is_link ? concat("a link to ", std::filesystem::read_symlink(path).string()) : "a file",
                     "; name another one"), ExitCode::environment);
}

}  // namespace

std::string safe_name(std::string_view id) {
  const std::string hash = sha256(id);
  const bool plain = !id.empty() && id.size() <= longest_name && id[0] != '.' && std::all_of(id.begin(), id.end(), is_plain);
  if (plain && !could_be_anothers(id, std::string_view(hash).substr(0, folder_digits))) return std::string(id);
  return readable_part(id) + '-' + hash.substr(0, hash_digits);
}

std::string video_path(std::string_view id, int sample) {
  const std::string hash = sha256(id);
  return concat("videos/", hash.substr(0, 2), '/', hash.substr(2, 2), '/', safe_name(id),
                sample > 0 ? concat('_', sample) : "", ".mp4");
}

void check_folder(const std::filesystem::path& folder) {
  std::filesystem::path there = std::filesystem::absolute(folder);
  while (!std::filesystem::exists(std::filesystem::symlink_status(there)) && there.has_relative_path()) there = there.parent_path();
  if (!std::filesystem::is_directory(there)) fail_as_no_folder(there);
  if (::access(there.c_str(), W_OK | X_OK) != 0) fail_at_the_disk(there, "cannot be written in", errno);
}

void make_folder(const std::filesystem::path& folder) {
  if (folder.empty() || std::filesystem::is_directory(folder)) return;
  const std::filesystem::path parent = folder.has_parent_path() ? folder.parent_path() : ".";
  if (parent != folder) make_folder(parent);
  std::error_code error;
  std::filesystem::create_directory(folder, error);   // another process may have been first: no error then
  if (error == std::errc::file_exists) fail_as_no_folder(folder);
  if (error) fail_at_the_disk(folder, "cannot be made", error.value());
  sync_folder(parent);
}

void check_free_for_dataset(const std::filesystem::path& folder, const std::vector<std::filesystem::path>& given) {
  if (!std::filesystem::is_directory(folder) || holds_dataset({folder})) return;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    require(may_come_first(entry, given), folder.string(), ": holds ", entry.path().filename().string(), " and is no dataset; use an empty folder");
}

bool is_temporary_file(const std::filesystem::path& output, const std::filesystem::path& file) {
  if (file.extension() != ".tmp") return false;
  const std::string name = file.filename().string(), below = file.lexically_relative(output).begin()->string();
  if (below == "shards") return name.starts_with(".") || name.starts_with("shard-");
  if (below != name) return true;   // work/ and journal/ hold nothing of the user's
  std::string whole = file.stem().string();   // "run.json.123": written by process 123
  if (const size_t last = whole.find_last_not_of("0123456789"); last != whole.npos && whole[last] == '.') whole.resize(last);
  return is_written(whole) || (whole.starts_with("index.part-") && whole.ends_with(".h5"));
}

std::filesystem::path move_to_quarantine(const OutputLayout& layout, const std::filesystem::path& file) {
  make_folder(layout.quarantine());
  std::filesystem::path target = layout.quarantine() / file.filename();
  for (int n = 1; std::filesystem::exists(target); ++n)
    target = layout.quarantine() / concat(file.filename().string(), '.', n);
  std::error_code error;
  std::filesystem::rename(file, target, error);
  if (error) fail_at_the_disk(file, concat("cannot be moved to ", target.string()), error.value());
  sync_folder(layout.quarantine());
  sync_folder(file.parent_path());
  return target;
}

}  // namespace pyracast
