// The files under tests/data/torch were written by PyTorch itself: tests/tools/make_torch_checkpoints.py.
#include "base/torch_checkpoint.hpp"

#include "base/file.hpp"
#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

StoredTensors read(const std::string& name) {
  return read_torch_checkpoint(std::filesystem::path(TESTS_DIR) / "data/torch" / name);
}

std::string error_for(const std::string& name) {
  return error_of([&] { read(name); });
}

/// The values that the script gives its tensors.
std::vector<float> ramp(int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(float(i) / 2 - 1);
  return values;
}

template <class T, class Convert>
std::vector<float> converted(const StoredTensor& tensor, Convert convert) {
  std::vector<float> values;
  for (const T element : elements<T>(tensor)) values.push_back(convert(element));
  return values;
}

void expect_weight(const StoredTensors& tensors) {
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors.at("weight").dtype, DType::float32);
  EXPECT_EQ(tensors.at("weight").shape, (Shape{2, 3}));
  EXPECT_EQ(elements<float>(tensors.at("weight")), ramp(6));
}

class BothFormats : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(TorchCheckpoint, BothFormats, testing::Values("types.pt", "types_legacy.pt"));

TEST_P(BothFormats, HoldEveryType) {
  const StoredTensors tensors = read(GetParam());
  EXPECT_EQ(tensors.size(), 12u) << "and \"step\", a number, is no tensor";
  for (const char* name : {"float32", "float64", "float16", "bfloat16", "int64", "int32"}) {
    EXPECT_STREQ(name_of(tensors.at(name).dtype), name);
    EXPECT_EQ(tensors.at(name).shape, (Shape{2, 3})) << name;
  }
  EXPECT_EQ(elements<float>(tensors.at("float32")), ramp(6));
  EXPECT_EQ(converted<double>(tensors.at("float64"), [](double x) { return float(x); }), ramp(6));
  EXPECT_EQ(converted<uint16_t>(tensors.at("float16"), float_from_half), ramp(6));
  EXPECT_EQ(converted<uint16_t>(tensors.at("bfloat16"), [](uint16_t bits) {
    bfloat16 value;
    value.bits = bits;
    return float(value);
  }), ramp(6));
  EXPECT_THAT(elements<int64_t>(tensors.at("int64")), ElementsAre(-1, 0, 0, 0, 1, 1));
  EXPECT_THAT(elements<int32_t>(tensors.at("int32")), ElementsAre(-1, 0, 0, 0, 1, 1));
  EXPECT_THAT(elements<int16_t>(tensors.at("int16")), ElementsAre(-1, 0, 0, 0, 1));
  EXPECT_THAT(elements<int8_t>(tensors.at("int8")), ElementsAre(-1, 0, 0, 0, 1));
  EXPECT_THAT(elements<uint8_t>(tensors.at("uint8")), ElementsAre(1, 0, 0, 0, 1));
  EXPECT_THAT(elements<uint8_t>(tensors.at("bool")), ElementsAre(1, 0, 1));
  EXPECT_EQ(tensors.at("bool").dtype, DType::boolean);
  EXPECT_EQ(tensors.at("scalar").shape, Shape{});
  EXPECT_THAT(elements<float>(tensors.at("scalar")), ElementsAre(2.5f));
  EXPECT_EQ(tensors.at("empty").shape, (Shape{0, 3}));
  EXPECT_TRUE(tensors.at("empty").bytes.empty());
}

class Views : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(TorchCheckpoint, Views, testing::Values("views.pt", "views_legacy.pt"));

TEST_P(Views, ShareTheirStorageOrBecomeContiguousCopies) {
  const StoredTensors tensors = read(GetParam());
  const StoredTensor& base = tensors.at("base");
  EXPECT_EQ(elements<float>(base), ramp(12));
  EXPECT_EQ(tensors.at("same").bytes.data(), base.bytes.data()) << "nothing is copied";
  EXPECT_EQ(tensors.at("row").bytes.data(), base.bytes.data() + 16);
  EXPECT_THAT(elements<float>(tensors.at("row")), ElementsAre(1, 1.5, 2, 2.5));
  EXPECT_EQ(tensors.at("transposed").shape, (Shape{4, 3}));
  EXPECT_THAT(elements<float>(tensors.at("transposed")),
              ElementsAre(-1, 1, 3, -.5, 1.5, 3.5, 0, 2, 4, .5, 2.5, 4.5));
  EXPECT_THAT(elements<float>(tensors.at("every_second")), ElementsAre(-1, 0, 1, 2, 3, 4));
  EXPECT_THAT(elements<float>(tensors.at("repeated")), ElementsAre(1, 1.5, 2, 2.5, 1, 1.5, 2, 2.5, 1, 1.5, 2, 2.5));
  const auto permuted = elements<float>(tensors.at("permuted"));
  EXPECT_EQ(tensors.at("permuted").shape, (Shape{4, 2, 3}));
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 2; ++j)
      for (int k = 0; k < 3; ++k) EXPECT_EQ(permuted[i * 6 + j * 3 + k], ramp(24)[j * 12 + k * 4 + i]);
}

TEST(TorchCheckpoint, ReadsNewerPickleProtocols) {
  expect_weight(read("protocol_4.pt"));
  expect_weight(read("protocol_5.pt"));
}

TEST(TorchCheckpoint, ReadsStateDictsAndParameters) {
  for (const char* name : {"state_dict.pt", "parameters.pt"}) {
    const StoredTensors tensors = read(name);
    ASSERT_EQ(tensors.size(), 2u) << name;
    EXPECT_EQ(elements<float>(tensors.at("weight")), ramp(6)) << name;
    EXPECT_EQ(elements<float>(tensors.at("bias")), ramp(2)) << name;
  }
}

TEST(TorchCheckpoint, OpensTheUsualWrappersAveragedWeightsFirst) {
  for (const char* name : {"wrapped.pt", "averaged.pt", "generator.pt", "averaged_generator.pt"}) {
    SCOPED_TRACE(name);
    expect_weight(read(name));
  }
}

TEST(TorchCheckpoint, RefusesWhatHoldsNoStateDict) {
  EXPECT_THAT(error_for("whole_module.pt"),
              HasSubstr("holds an object of torch.nn.modules.linear.Linear, expected a dict of tensors"));
  EXPECT_THAT(error_for("no_tensors.pt"), HasSubstr("holds no tensor"));
}

TEST(TorchCheckpoint, IgnoresUnknownObjectsBesideTheWeights) { expect_weight(read("unknown_inert.pt")); }

TEST(TorchCheckpoint, RefusesATensorThatOnlyAnUnknownFunctionCouldMake) {
  EXPECT_THAT(error_for("unknown_wanted.pt"), HasSubstr("unknown_wanted.pt: weight: is made by quantised.unpack"));
}

TEST(TorchCheckpoint, NeverRunsWhatAPickleAsksFor) {
  std::filesystem::remove("pyracast_ran_a_pickle");
  expect_weight(read("shell_inside.pt"));
  expect_weight(read("shell_legacy.pt"));
  EXPECT_THAT(error_for("shell_only.pt"), HasSubstr("holds an object of posix.system"));
  EXPECT_FALSE(std::filesystem::exists("pyracast_ran_a_pickle"));
}

TEST(TorchCheckpoint, RefusesElementTypesItHasNot) {
  EXPECT_THAT(error_for("complex.pt"), HasSubstr("weight: its element type is torch.ComplexFloatStorage"));
  EXPECT_THAT(error_for("uint16.pt"), HasSubstr("weight: its element type is torch.uint16"));
  expect_weight(read("complex_beside.pt"));
}

TEST(TorchCheckpoint, ReadsDeeplyNestedValues) { expect_weight(read("deep.pt")); }

TEST(TorchCheckpoint, RefusesFilesThatAreCut) {
  for (const char* name : {"wrapped.pt", "shell_legacy.pt"}) {
    const std::string whole = read_file(std::filesystem::path(TESTS_DIR) / "data/torch" / name);
    for (size_t size = 0; size < whole.size(); ++size) {
      const std::string cut = whole.substr(0, size);
      EXPECT_THAT(error_of([&] { parse_torch_checkpoint(bytes_of(cut), nullptr, "cut.pt"); }), HasSubstr("cut.pt: "))
          << name << " " << size;
    }
  }
}

TEST(TorchCheckpoint, RefusesOtherFiles) {
  const auto error = [](const std::string& content) {
    return error_of([&] { parse_torch_checkpoint(bytes_of(content), nullptr, "x.bin"); });
  };
  EXPECT_THAT(error("\x80\x02K\x01."), HasSubstr("is no PyTorch checkpoint (the magic number is missing)"));
  EXPECT_THAT(error("{\"json\": 1}"), AllOf(HasSubstr("x.bin"), HasSubstr("is this a PyTorch checkpoint?")));
}

/// A legacy checkpoint {"w": tensor} over a storage of four floats, with the given pickled integers.
std::string legacy(const std::string& offset, const std::string& shape, const std::string& strides,
                   const std::string& view = "N") {
  const auto text = [](const std::string& value) { return concat("X", little_endian(uint32_t(value.size())), value); };
  const std::string storage =
      concat("(", text("storage"), "ctorch\nFloatStorage\n", text("7"), text("cpu"), "K\x04", view, "tQ");
  const std::string tensor =
      concat("ctorch._utils\n_rebuild_tensor_v2\n(", storage, offset, "(", shape, "t(", strides, "t\x89}tR");
  return concat("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "\x80\x02M\xe9\x03.", "\x80\x02}",
                text("little_endian"), "\x88s.", "\x80\x02}", text("w"), tensor, "s.", "\x80\x02]", text("7"), "a.",
                little_endian(int64_t(4)), std::string(16, '\0'));
}

const std::string zero("K\0", 2), huge = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";

std::string error_for_legacy(const std::string& content) {
  return error_of([&] { parse_torch_checkpoint(bytes_of(content), nullptr, "x.pt"); });
}

TEST(TorchCheckpoint, ChecksThatTensorsLieInsideTheirStorage) {
  EXPECT_EQ(error_for_legacy(legacy(zero, "K\x04", "K\x01")), "no error");
  EXPECT_THAT(error_for_legacy(legacy("K\x01", "K\x04", "K\x01")), HasSubstr("w: shape [4] with strides [1] from "
              "element 1 reaches outside its storage of 4 elements"));
  EXPECT_THAT(error_for_legacy(legacy(zero, "K\x05", "K\x01")), HasSubstr("reaches outside"));
  EXPECT_THAT(error_for_legacy(legacy(zero, "K\x02", "K\x04")), HasSubstr("reaches outside"));
  EXPECT_THAT(error_for_legacy(legacy(huge, "K\x02", "K\x01")), HasSubstr("reaches outside"));
  EXPECT_THAT(error_for_legacy(legacy(zero, "K\x03", huge)), HasSubstr("reaches outside"));
  EXPECT_THAT(error_for_legacy(legacy(zero, huge + huge, "K\x01K\x01")),
              HasSubstr("more elements than can be counted"));
  EXPECT_THAT(error_for_legacy(legacy(zero, "K\x02", "K\x01K\x01")), HasSubstr("has 1 sizes and 2 strides"));
  EXPECT_THAT(error_for_legacy(legacy(zero, "J\xff\xff\xff\xff", "K\x01")), HasSubstr("the shape is -1"));
  EXPECT_THAT(error_for_legacy(legacy(zero, "N", "K\x01")), HasSubstr("the shape is a plain value"));
}

TEST(TorchCheckpoint, RefusesCopiesFarLargerThanTheFile) {
  EXPECT_THAT(error_for_legacy(legacy(zero, concat("J", little_endian(int32_t(1) << 30)), zero)),
              HasSubstr("would take a copy far larger than the file"));
}

TEST(TorchCheckpoint, ReadsTheOldStorageViews) {
  const auto view = [](const std::string& offset, const std::string& size) {
    return legacy(zero, "K\x02", "K\x01", concat("(N", offset, size, "t"));
  };
  EXPECT_EQ(error_for_legacy(view("K\x02", "K\x02")), "no error");
  EXPECT_THAT(error_for_legacy(view("K\x03", "K\x02")), HasSubstr("a view of storage 7 reaches outside it"));
  EXPECT_THAT(error_for_legacy(view(zero, "K\x01")), HasSubstr("w: shape [2] with strides [1]"));
}

}  // namespace
}  // namespace pyracast
