#include "base/zip_archive.hpp"

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;

/// Fields of an archive of one member "d/x" that holds "hello"; the tests change one at a time.
struct Fields {
  uint16_t flags = 0, method = 0, entries = 1;
  uint32_t size = 5, compressed_size = 5, header_offset = 0;
  bool zip64 = false;
  uint64_t size64 = 5, directory_offset64 = 38;
  std::string header_name = "d/x", comment;
};

std::string archive(const Fields& f) {
  const auto u16 = [](uint16_t n) { return little_endian(n); };
  const auto u32 = [](uint32_t n) { return little_endian(n); };
  const auto u64 = [](uint64_t n) { return little_endian(n); };
  const std::string local = "PK\3\4" + std::string(22, '\0') + u16(3) + u16(0) + f.header_name + "hello";
  // In zip64 archives all three numbers move to the extra field.
  const std::string extra = f.zip64 ? u16(1) + u16(24) + u64(f.size64) + u64(5) + u64(0) : "";
  const uint32_t moved = UINT32_MAX;
  const std::string entry = "PK\1\2" + u16(0) + u16(0) + u16(f.flags) + u16(f.method) + std::string(8, '\0') +
                            u32(f.zip64 ? moved : f.compressed_size) + u32(f.zip64 ? moved : f.size) + u16(3) +
                            u16(uint16_t(extra.size())) + u16(0) + std::string(8, '\0') +
                            u32(f.zip64 ? moved : f.header_offset) + "d/x" + extra;
  const std::string end64 = "PK\6\6" + u64(44) + std::string(12, '\0') + u64(1) + u64(1) + u64(entry.size()) +
                            u64(f.directory_offset64);
  const std::string locator = "PK\6\7" + u32(0) + u64(local.size() + entry.size()) + u32(1);
  const std::string end = "PK\5\6" + u32(0) + u16(f.entries) + u16(f.entries) +
                          u32(f.zip64 ? moved : uint32_t(entry.size())) +
                          u32(f.zip64 ? moved : uint32_t(local.size())) +
                          u16(uint16_t(f.comment.size())) + f.comment;
  return local + entry + (f.zip64 ? end64 + locator : "") + end;
}

std::string member_of(const std::string& content, const std::string& name = "d/x") {
  const ZipArchive zip(bytes_of(content), "x.zip");
  const auto bytes = zip.member(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string error_for(const std::string& content) {
  return error_of([&] { member_of(content); });
}

TEST(ZipArchive, GivesStoredMembers) {
  EXPECT_EQ(member_of(archive({})), "hello");
  EXPECT_EQ(member_of(archive({.comment = "with a comment"})), "hello");
  EXPECT_TRUE(ZipArchive::recognises(bytes_of(archive({}))));
  EXPECT_FALSE(ZipArchive::recognises({}));
}

TEST(ZipArchive, ReadsZip64Archives) { EXPECT_EQ(member_of(archive({.zip64 = true})), "hello"); }

TEST(ZipArchive, FindsAMemberByTheEndOfItsName) {
  const std::string content = archive({});
  const ZipArchive zip(bytes_of(content), "x.zip");
  EXPECT_EQ(zip.name_ending_with("/x"), "d/x");
  EXPECT_THAT(error_of([&] { zip.name_ending_with("data.pkl"); }),
              HasSubstr("x.zip: the zip archive has no member *data.pkl"));
  EXPECT_THAT(error_of([&] { zip.member("d/y"); }), HasSubstr("has no member \"d/y\""));
}

TEST(ZipArchive, RefusesCompressedAndEncryptedMembers) {
  EXPECT_THAT(error_for(archive({.method = 8})), HasSubstr("\"d/x\" is compressed"));
  EXPECT_THAT(error_for(archive({.compressed_size = 4})), HasSubstr("\"d/x\" is compressed"));
  EXPECT_THAT(error_for(archive({.flags = 1})), HasSubstr("\"d/x\" is encrypted"));
}

TEST(ZipArchive, RefusesOffsetsOutsideTheArchive) {
  EXPECT_THAT(error_for(archive({.size = 5000, .compressed_size = 5000})), HasSubstr("member would take 5000 bytes"));
  EXPECT_THAT(error_for(archive({.header_offset = 1u << 30})), HasSubstr("local header would take"));
  EXPECT_THAT(error_for(archive({.header_offset = 1})), HasSubstr("wrong signature"));
  EXPECT_THAT(error_for(archive({.entries = 2})), HasSubstr("directory entry would take"));
  EXPECT_THAT(error_for(archive({.zip64 = true, .size64 = UINT64_MAX})), HasSubstr("is compressed"));
  EXPECT_THAT(error_for(archive({.zip64 = true, .directory_offset64 = UINT64_MAX})), HasSubstr("directory would take"));
  EXPECT_THAT(error_for(archive({.header_name = "d/y"})), HasSubstr("disagree about \"d/x\""));
}

TEST(ZipArchive, RefusesArchivesThatAreCut) {
  for (const bool zip64 : {false, true}) {
    const std::string whole = archive({.zip64 = zip64});
    for (size_t size = 0; size < whole.size(); ++size)
      EXPECT_THAT(error_for(whole.substr(0, size)), HasSubstr("has no zip directory at its end")) << size;
  }
}

}  // namespace
}  // namespace pyracast
