#include "base/safetensors.hpp"

#include "base/file.hpp"
#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string file_of(const std::string& header, size_t data_bytes) {
  return little_endian(uint64_t(header.size())) + header + std::string(data_bytes, '\1');
}

std::string error_for(const std::string& content) {
  return error_of([&] { parse_safetensors(bytes_of(content), nullptr, "some.safetensors"); });
}

/// The error for one tensor "w" of the given fields over 8 bytes of data.
std::string error_for_entry(const std::string& fields) { return error_for(file_of(R"({"w":{)" + fields + "}}", 8)); }

TEST(Safetensors, WritesAndReadsBackEveryType) {
  const TemporaryFolder folder;
  StoredTensors written;
  written["a.float32"] = stored<float>(DType::float32, {2, 2}, {1, -2, 3.5, 1e-30f});
  written["b.bool"] = stored<uint8_t>(DType::boolean, {3}, {1, 0, 1});
  written["c.bfloat16"] = stored<uint16_t>(DType::bfloat16, {1, 3}, {0x3f80, 0, 0xc000});
  written["d.int64"] = stored<int64_t>(DType::int64, {}, {-5});
  written["e.empty"] = stored<float>(DType::float32, {0, 4}, {});
  for (const DType dtype : {DType::float64, DType::float16, DType::int32, DType::int16, DType::int8, DType::uint8})
    written[name_of(dtype)] = stored<uint8_t>(dtype, {1}, std::vector<uint8_t>(size_of(dtype), 7));
  write_safetensors(folder / "all.safetensors", written);
  const StoredTensors read = read_safetensors(folder / "all.safetensors");
  ASSERT_EQ(read.size(), written.size());
  for (const auto& [name, tensor] : written) {
    EXPECT_EQ(read.at(name).dtype, tensor.dtype) << name;
    EXPECT_EQ(read.at(name).shape, tensor.shape) << name;
    EXPECT_TRUE(std::ranges::equal(read.at(name).bytes, tensor.bytes)) << name;
    EXPECT_EQ(uintptr_t(read.at(name).bytes.data()) % size_of(tensor.dtype), 0u) << name;
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "no temporary file is left";
}

TEST(Safetensors, TensorsKeepTheFileMapped) {
  const TemporaryFolder folder;
  write_safetensors(folder / "x.safetensors", {{"w", stored<float>(DType::float32, {2}, {1, 2})}});
  const StoredTensor tensor = read_safetensors(folder / "x.safetensors").at("w");
  EXPECT_EQ(elements<float>(tensor), (std::vector<float>{1, 2}));
  EXPECT_EQ(tensor.file, (folder / "x.safetensors").string());
}

TEST(Safetensors, ReadsAFileWithoutMetadataAndWithoutPadding) {
  const std::string content = file_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  const auto tensors = parse_safetensors(bytes_of(content), nullptr, "x");
  EXPECT_EQ(tensors.at("w").shape, Shape{2});
  EXPECT_EQ(tensors.size(), 1u);
}

TEST(Safetensors, RefusesFilesThatAreCut) {
  const std::string whole = file_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(error_for(whole.substr(0, size)), HasSubstr("is the copy complete?")) << size;
  EXPECT_EQ(error_for(whole), "no error");
}

TEST(Safetensors, RefusesAnImpossibleHeaderLength) {
  EXPECT_THAT(error_for(std::string(16, '\xff')),
              HasSubstr("some.safetensors: the header claims 18446744073709551615"));
}

TEST(Safetensors, RefusesAHeaderThatIsNoObjectOfTensors) {
  EXPECT_THAT(error_for(file_of("{\"w\":", 0)), HasSubstr("the header is not valid JSON"));
  EXPECT_THAT(error_for(file_of("[1]", 0)), HasSubstr("the header is not a JSON object"));
  EXPECT_THAT(error_for(file_of(R"({"w":3})", 0)), HasSubstr("w: expected an object with dtype, shape"));
  EXPECT_THAT(error_for(file_of(R"({"w":{"dtype":"F32","shape":[1]}})", 0)), HasSubstr("w: expected an object"));
}

TEST(Safetensors, RefusesUnknownTypes) {
  EXPECT_THAT(error_for_entry(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"),
              AllOf(HasSubstr("some.safetensors: w: dtype is \"F8_E4M3\""), HasSubstr("expected one of F64, F32")));
  EXPECT_THAT(error_for_entry(R"("dtype":7,"shape":[8],"data_offsets":[0,8])"), HasSubstr("dtype is 7"));
}

TEST(Safetensors, RefusesShapesThatDoNotFitTheirBytes) {
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
              HasSubstr("w: float32 [3] takes 12 bytes, but data_offsets [0, 8] give 8"));
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"),
              HasSubstr("more elements than can be counted"));
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8])"),
              HasSubstr("more elements than can be counted"));
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":[-1],"data_offsets":[0,8])"), HasSubstr("shape holds -1"));
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,8])"), HasSubstr("shape holds 1.5"));
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), HasSubstr("shape is not a list"));
}

TEST(Safetensors, RefusesOffsetsOutsideTheData) {
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":[4],"data_offsets":[0,16])"), HasSubstr("only 8 bytes follow"));
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), HasSubstr("begin <= end"));
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), HasSubstr("expected [begin, end]"));
  EXPECT_THAT(error_for_entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615])"),
              HasSubstr("expected whole numbers"));
}

TEST(Safetensors, RefusesOverlapsGapsAndRests) {
  const auto two = [](const char* first, const char* second) {
    return error_for(file_of(concat(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)", first,
                                    R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)", second, "}}"), 8));
  };
  EXPECT_EQ(two("[0,4]", "[4,8]"), "no error");
  EXPECT_EQ(two("[4,8]", "[0,4]"), "no error");
  EXPECT_THAT(two("[0,4]", "[2,6]"), HasSubstr("b begins at byte 2 of the data, inside a"));
  EXPECT_THAT(two("[0,4]", "[0,4]"), HasSubstr("must not overlap"));
  EXPECT_THAT(error_for_entry(R"("dtype":"U8","shape":[4],"data_offsets":[4,8])"),
              HasSubstr("bytes 0 to 4 of the data belong to no tensor"));
  EXPECT_THAT(error_for_entry(R"("dtype":"U8","shape":[4],"data_offsets":[0,4])"),
              HasSubstr("4 bytes at the end belong to no tensor"));
}

TEST(Safetensors, RefusesANameGivenTwice) {
  EXPECT_THAT(error_for(file_of(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                                R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0)),
              HasSubstr("the header names \"a\" twice"));
}

TEST(Safetensors, RefusesToWriteATensorWhoseBytesDoNotFit) {
  const TemporaryFolder folder;
  const auto write = [&] {
    write_safetensors(folder / "x.safetensors", {{"w", stored<float>(DType::float32, {3}, {1, 2})}});
  };
  EXPECT_THAT(error_of(write), HasSubstr("w, float32 [3], has 8 bytes"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace pyracast
