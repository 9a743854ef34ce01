#include "base/json.hpp"

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(ReadJson, NamesTheFileAndWhatIsWrongWithIt) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { read_json(folder / "none.json"); }), AllOf(HasSubstr("none.json"), HasSubstr("cannot be opened")));
  const auto broken = folder.write("broken.json", "{\n\"a\": 1,\n]");
  EXPECT_THAT(error_of([&] { read_json(broken); }), AllOf(HasSubstr("broken.json"), HasSubstr("not valid JSON"), HasSubstr("line 3")));
  EXPECT_THAT(error_of([&] { read_json(folder.write("empty.json", "")); }), HasSubstr("empty.json"));
}

TEST(ReadJson, KeepsTheOrderOfKeys) {
  const TemporaryFolder folder;
  const Json json = read_json(folder.write("a.json", R"({"z": 1, "a": 2, "m": 3})"));
  EXPECT_EQ(json.begin().key(), "z");
  EXPECT_EQ(json.dump(), R"({"z":1,"a":2,"m":3})");
}

TEST(JsonValue, NamesTheKeyThatIsMissingOrOfAnotherType) {
  const Json json = Json::parse(R"({"half": 2.5, "yes": true, "text": "4", "big": 5000000000, "minus": -1, "list": [1, 2.5], "none": null})");
  EXPECT_THAT(error_of([&] { value<int64_t>(json, "absent", "a.json"); }), HasSubstr("a.json: the key \"absent\" is missing"));
  const auto refused = [&](const auto read) { return error_of([&] { read(); }); };
  EXPECT_THAT(refused([&] { value<int64_t>(json, "half", "a.json"); }), HasSubstr("a.json: \"half\" is 2.5, expected a whole number"));
  EXPECT_THAT(refused([&] { value<int64_t>(json, "yes", "a.json"); }), HasSubstr("\"yes\""));
  EXPECT_THAT(refused([&] { value<int64_t>(json, "text", "a.json"); }), HasSubstr("\"text\""));
  EXPECT_THAT(refused([&] { value<int>(json, "big", "a.json"); }), HasSubstr("\"big\""));
  EXPECT_THAT(refused([&] { value<uint64_t>(json, "minus", "a.json"); }), HasSubstr("\"minus\" is -1, expected a whole number, 0 or more"));
  EXPECT_THAT(refused([&] { value<std::vector<int64_t>>(json, "list", "a.json"); }),
              HasSubstr("\"list\" is [1,2.5], expected a list, each of it a whole number"));
  EXPECT_THAT(refused([&] { value<double>(json, "yes", "a.json"); }), HasSubstr("\"yes\""));
  EXPECT_THAT(refused([&] { value_or(json, "text", 3, "a.json"); }), HasSubstr("\"text\""));
  EXPECT_THAT(refused([&] { count_value(json, "minus", "a.json"); }), HasSubstr("expected at least 1"));
}

TEST(JsonValue, ConvertsWhatFits) {
  const Json json = Json::parse(R"({"whole": 4.0, "n": 3, "none": null})");
  EXPECT_EQ(value<int64_t>(json, "whole", ""), 4);
  EXPECT_EQ(value<double>(json, "n", ""), 3.0);
  EXPECT_EQ(value_or(json, "none", 7, ""), 7);
  EXPECT_EQ(value_or(json, "absent", 7, ""), 7);
  EXPECT_EQ(count_value_or(json, "absent", 7, ""), 7);
}

}  // namespace
}  // namespace pyracast
