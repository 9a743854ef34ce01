#include "dataset/layout.hpp"

#include <algorithm>

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

void make_folder(const std::filesystem::path& folder) {
  if (folder.empty() || std::filesystem::is_directory(folder)) return;
  const std::filesystem::path parent = folder.has_parent_path() ? folder.parent_path() : ".";
  if (parent != folder) make_folder(parent);
  std::error_code error;
  std::filesystem::create_directory(folder, error);   // another process may have been first: no error then
  if (error) fail_at_the_disk(folder, "cannot be made", error.value());
  sync_folder(parent);
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
