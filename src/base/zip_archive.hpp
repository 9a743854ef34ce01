#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace pyracast {

/// The members of a zip archive in memory, zip64 included, for archives whose members are stored (not compressed), as
/// PyTorch writes them: each member's bytes lie in the archive as they are. Checksums are not compared: PyTorch can
/// write archives without them.
class ZipArchive {
 public:
  /// Reads the directory of the archive in `bytes`, which must outlive this object; `where` names it in messages.
  /// Throws Error when a length or offset leads outside the archive, or a name occurs twice.
  ZipArchive(std::span<const std::byte> bytes, const std::string& where);

  /// Whether `bytes` begin like a zip archive.
  static bool recognises(std::span<const std::byte> bytes);

  bool contains(std::string_view name) const { return members_.contains(name); }
  /// The bytes of a member. Throws Error when there is none, when it is compressed or encrypted, or when its own
  /// header contradicts the directory.
  std::span<const std::byte> member(std::string_view name) const;
  /// The only member name that ends with `suffix`. Throws Error when there is none or more than one.
  const std::string& name_ending_with(std::string_view suffix) const;

 private:
  struct Member {
    uint16_t flags = 0, method = 0;
    uint64_t header_offset = 0, compressed_size = 0, size = 0;
  };

  void read_directory(uint64_t offset, uint64_t size, uint64_t count);

  std::span<const std::byte> bytes_;
  std::string where_;
  std::map<std::string, Member, std::less<>> members_;
};

}  // namespace pyracast
