// The zip format, from its end: the end record says where the central directory lies; in zip64 archives a locator in
// front of it leads to a second end record with 64-bit numbers. Each directory entry leads to a member's local header,
// behind which its bytes lie.
#include "base/zip_archive.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/error.hpp"

namespace pyracast {

namespace {

constexpr uint32_t local_signature = 0x04034b50, directory_signature = 0x02014b50, end_signature = 0x06054b50;
constexpr uint32_t end64_signature = 0x06064b50, locator64_signature = 0x07064b50;
constexpr size_t local_size = 30, entry_size = 46, end_size = 22, end64_size = 56, locator64_size = 20;
constexpr uint64_t most_members = 1'000'000;
constexpr uint16_t zip64_field = 1, encrypted_flag = 1;

/// Part of the archive, from which numbers are read at fixed offsets, all checked.
class Record {
 public:
  Record(std::span<const std::byte> archive, uint64_t offset, uint64_t size, const char* what, const std::string& where)
      : what_(what), where_(where) {
    require(offset <= archive.size() && size <= archive.size() - offset, where, ": the zip archive's ", what,
            " would take ", size, " bytes from byte ", offset, " of ", archive.size(), "; is the copy complete?");
    bytes_ = archive.subspan(size_t(offset), size_t(size));
  }

  template <class Number>
  Number number(size_t offset) const {
    require(offset <= bytes_.size() && sizeof(Number) <= bytes_.size() - offset, where_, ": the zip archive's ", what_,
            " is too short");
    Number number;
    std::memcpy(&number, bytes_.data() + offset, sizeof number);
    return number;
  }

  void expect_signature(uint32_t signature) const {
    require(number<uint32_t>(0) == signature, where_, ": the zip archive's ", what_, " is damaged (wrong signature)");
  }

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  const char* what_;
  const std::string& where_;
  std::span<const std::byte> bytes_;
};

bool begins_with(std::span<const std::byte> bytes, uint32_t signature) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), &signature, 4) == 0;
}

/// Offset of the end record: the last place whose comment reaches exactly to the end of the archive.
uint64_t find_end(std::span<const std::byte> bytes, const std::string& where) {
  const size_t longest = end_size + UINT16_MAX;
  const size_t first = bytes.size() > longest ? bytes.size() - longest : 0;
  for (size_t at = bytes.size() >= end_size ? bytes.size() - end_size + 1 : 0; at-- > first;) {
    if (!begins_with(bytes.subspan(at), end_signature)) continue;
    uint16_t comment;
    std::memcpy(&comment, bytes.data() + at + 20, 2);
    if (at + end_size + comment == bytes.size()) return at;
  }
  fail(where, ": has no zip directory at its end; is the copy complete?");
}

/// The zip64 values that stand in for 32-bit fields holding 0xffffffff, in the order in which the fields ask.
class Zip64Values {
 public:
  Zip64Values(const Record& extra) : extra_(extra) {
    for (size_t at = 0; at + 4 <= extra.bytes().size();) {
      const size_t size = extra.number<uint16_t>(at + 2);
      if (extra.number<uint16_t>(at) == zip64_field) {
        next_ = at + 4;
        return;
      }
      at += 4 + size;
    }
  }

  uint64_t of(uint32_t field) {
    if (field != UINT32_MAX || !next_) return field;
    const auto value = extra_.number<uint64_t>(*next_);
    *next_ += 8;
    return value;
  }

 private:
  const Record& extra_;
  std::optional<size_t> next_;
};

}  // namespace

bool ZipArchive::recognises(std::span<const std::byte> bytes) { return begins_with(bytes, local_signature); }

ZipArchive::ZipArchive(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {
  const uint64_t at = find_end(bytes, where);
  const Record end(bytes, at, end_size, "end record", where_);
  uint64_t count = end.number<uint16_t>(10), size = end.number<uint32_t>(12), offset = end.number<uint32_t>(16);
  if (at >= locator64_size && begins_with(bytes.subspan(at - locator64_size), locator64_signature)) {
    const Record locator(bytes, at - locator64_size, locator64_size, "zip64 locator", where_);
    const Record end64(bytes, locator.number<uint64_t>(8), end64_size, "zip64 end record", where_);
    end64.expect_signature(end64_signature);
    count = end64.number<uint64_t>(32);
    size = end64.number<uint64_t>(40);
    offset = end64.number<uint64_t>(48);
  }
  read_directory(offset, size, count);
}

void ZipArchive::read_directory(uint64_t offset, uint64_t size, uint64_t count) {
  require(count <= most_members, where_, ": the zip archive claims ", count, " members, more than ", most_members);
  const Record directory(bytes_, offset, size, "directory", where_);
  for (size_t at = 0; count-- > 0;) {
    const Record fixed(directory.bytes(), at, entry_size, "directory entry", where_);
    fixed.expect_signature(directory_signature);
    const size_t name_size = fixed.number<uint16_t>(28), extra_size = fixed.number<uint16_t>(30);
    const Record name(directory.bytes(), at + entry_size, name_size, "member name", where_);
    const Record extra(directory.bytes(), at + entry_size + name_size, extra_size, "extra field", where_);
    Zip64Values zip64(extra);
    Member member{.flags = fixed.number<uint16_t>(8), .method = fixed.number<uint16_t>(10)};
    member.size = zip64.of(fixed.number<uint32_t>(24));
    member.compressed_size = zip64.of(fixed.number<uint32_t>(20));
    member.header_offset = zip64.of(fixed.number<uint32_t>(42));
    const std::string text(reinterpret_cast<const char*>(name.bytes().data()), name_size);
    require(members_.emplace(text, member).second, where_, ": the zip archive names \"", text, "\" twice");
    at += entry_size + name_size + extra_size + fixed.number<uint16_t>(32);
  }
}

std::span<const std::byte> ZipArchive::member(std::string_view name) const {
  const auto found = members_.find(name);
  require(found != members_.end(), where_, ": the zip archive has no member \"", name, "\"; is the copy complete?");
  const Member& member = found->second;
  require(member.method == 0 && member.size == member.compressed_size, where_, ": \"", name,
          "\" is compressed; PyTorch stores members as they are: unpack the archive and save the checkpoint again");
  require(!(member.flags & encrypted_flag), where_, ": \"", name, "\" is encrypted");
  const Record header(bytes_, member.header_offset, local_size, "local header", where_);
  header.expect_signature(local_signature);
  const size_t name_size = header.number<uint16_t>(26), extra_size = header.number<uint16_t>(28);
  const Record stored_name(bytes_, member.header_offset + local_size, name_size, "local header", where_);
  require(std::string_view(reinterpret_cast<const char*>(stored_name.bytes().data()), name_size) == name, where_,
          ": the zip archive's directory and headers disagree about \"", name, "\"");
  return Record(bytes_, member.header_offset + local_size + name_size + extra_size, member.size, "member", where_)
      .bytes();
}

const std::string& ZipArchive::name_ending_with(std::string_view suffix) const {
  const auto ends = [&](const auto& entry) { return std::string_view(entry.first).ends_with(suffix); };
  const auto found = std::ranges::find_if(members_, ends);
  require(found != members_.end(), where_, ": the zip archive has no member *", suffix,
          "; expected a file written by torch.save");
  require(std::find_if(std::next(found), members_.end(), ends) == members_.end(), where_,
          ": the zip archive has several members *", suffix);
  return found->first;
}

}  // namespace pyracast
