#include "dataset/seal.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "dataset/manifest_files.hpp"

namespace pyracast {

namespace {

constexpr std::string_view seal_mark = "PYRASEAL";
constexpr size_t hash_size = 64, seal_size = seal_mark.size() + 2 * hash_size;

ReadFile opened(const std::filesystem::path& path) {
  require(!std::filesystem::exists(path) || std::filesystem::is_regular_file(path), path.string(), ": is not a regular file");
  return ReadFile(path);
}

std::string seal_of(const ReadFile& file) {
  const size_t size = std::min(size_t(file.size()), seal_size);
  std::string seal = file.read(file.size() - size, size);
  require(seal.starts_with(seal_mark), "it does not end in a seal; it was cut, or is of another version");
  return seal;
}

/// The first `size` bytes, read and not mapped: an index is large, and what a disk cannot read is an Error.
void add_to(Sha256& hash, const ReadFile& file, uint64_t size) {
  constexpr uint64_t piece = 1 << 20;
  for (uint64_t at = 0; at < size; at += piece) hash.add(file.read(at, size_t(std::min(piece, size - at))));
}

}  // namespace

void append_seal(const std::filesystem::path& path, const std::string& fingerprint) {
  append_to_file(path, concat(seal_mark, fingerprint));
  Sha256 all;
  const ReadFile file(path);
  add_to(all, file, file.size());
  append_to_file(path, all.hexadecimal());
}

std::string check_seal(const std::filesystem::path& path) {
  const ReadFile file = opened(path);
  const std::string hash = seal_of(file).substr(seal_size - hash_size);
  Sha256 all;
  add_to(all, file, file.size() - hash_size);
  require(all.hexadecimal_so_far() == hash, "it does not fit its checksum");
  all.add(hash);
  return all.hexadecimal();
}

std::string sealed_fingerprint(const std::filesystem::path& path) { return seal_of(opened(path)).substr(seal_mark.size(), hash_size); }

}  // namespace pyracast
