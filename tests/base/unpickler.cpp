#include "base/unpickler.hpp"

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;
using Kind = PickleValue::Kind;

/// Reads a pickle given as its operations; a terminating zero inside needs `std::string(text, size)`.
std::string error_for(const std::string& operations) {
  return error_of([&] { Pickle(bytes_of(operations), "x.pkl"); });
}

int64_t integer_of(const std::string& operations) {
  const Pickle pickle(bytes_of(operations), "x.pkl");
  EXPECT_EQ(pickle.root().kind, Kind::integer);
  return pickle.root().integer;
}

TEST(Unpickler, ReadsIntegers) {
  EXPECT_EQ(integer_of("K\xff."), 255);
  EXPECT_EQ(integer_of("M\xff\xff."), 65535);
  EXPECT_EQ(integer_of("J\xfe\xff\xff\xff."), -2);
  EXPECT_EQ(integer_of("I-17\n."), -17);
  EXPECT_EQ(integer_of("L123L\n."), 123);
  EXPECT_EQ(integer_of(std::string("\x8a\x00.", 3)), 0);
  EXPECT_EQ(integer_of("\x8a\x01\xff."), -1);
  EXPECT_EQ(integer_of("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f."), INT64_MAX);
  const std::string nine = "\x8a\x09" + std::string(9, '\1') + ".";
  EXPECT_EQ(Pickle(bytes_of(nine), "x").root().text, std::string(9, '\1'));
}

TEST(Unpickler, ReadsRealsTextsAndConstants) {
  const std::string content =
      std::string("(G\x3f\xf8\0\0\0\0\0\0", 10) + std::string("X\2\0\0\0hi", 7) + "C\1x\x88N\x89t.";
  const Pickle pickle(bytes_of(content), "x");
  const auto& items = pickle.root().items;
  ASSERT_EQ(items.size(), 6u);
  EXPECT_EQ(pickle[items[0]].real, 1.5);
  EXPECT_EQ(pickle[items[1]].text, "hi");
  EXPECT_EQ(pickle[items[2]].kind, Kind::bytes);
  EXPECT_EQ(pickle[items[3]].integer, 1);
  EXPECT_EQ(pickle[items[4]].kind, Kind::none);
  EXPECT_EQ(pickle[items[5]].integer, 0);
}

TEST(Unpickler, RecordsGlobalsAndCallsWithoutResolvingThem) {
  const std::string content = "cposix\nsystem\nX" + little_endian(uint32_t(5)) + "false\x85R}b.";
  const Pickle pickle(bytes_of(content), "x");
  EXPECT_EQ(pickle.root().kind, Kind::object);
  EXPECT_TRUE(Pickle::is_global(pickle[pickle.root().callable], "posix", "system"));
  EXPECT_EQ(pickle[pickle[pickle.root().arguments].items[0]].text, "false");
  EXPECT_EQ(pickle[pickle.root().state].kind, Kind::dict);
}

TEST(Unpickler, SharesMemoisedValuesAndAllowsCycles) {
  const std::string content = std::string("]q\0h\0a.", 7);   // a list that holds itself
  const Pickle pickle(bytes_of(content), "x");
  ASSERT_EQ(pickle.root().items.size(), 1u);
  EXPECT_EQ(&pickle[pickle.root().items[0]], &pickle.root());
}

TEST(Unpickler, StopsAtTheEndOfThePickle) {
  const std::string content = "K\1.K\2.";
  EXPECT_EQ(Pickle(bytes_of(content), "x").size(), 3u);
}

TEST(Unpickler, RefusesMalformedPickles) {
  EXPECT_THAT(error_for(""), HasSubstr("x.pkl: byte 0: the pickle ends too early"));
  EXPECT_THAT(error_for("."), HasSubstr("taken from an empty stack"));
  EXPECT_THAT(error_for("(."), HasSubstr("taken from an empty stack"));
  EXPECT_THAT(error_for("K\1(."), HasSubstr("taken from an empty stack"));
  EXPECT_THAT(error_for("K\1t."), HasSubstr("a group of values has no beginning"));
  EXPECT_THAT(error_for("h\3."), HasSubstr("value 3 is used before it was stored"));
  EXPECT_THAT(error_for("(Nd."), HasSubstr("a key without a value"));
  EXPECT_THAT(error_for("NK\1a."), HasSubstr("elements are added to a value that holds none"));
  EXPECT_THAT(error_for("NNNs."), HasSubstr("a key is set in a value that is no dict"));
  EXPECT_THAT(error_for("NN\x93."), HasSubstr("a global's name is no text"));
  EXPECT_THAT(error_for("I7x\n."), HasSubstr("\"7x\" is not an integer"));
  EXPECT_THAT(error_for("I99999999999999999999\n."), HasSubstr("is not an integer"));
  EXPECT_THAT(error_for("cos"), HasSubstr("ends inside a line"));
  EXPECT_THAT(error_for("X\xff\xff\xff\xffhi."), HasSubstr("(4294967295 bytes wanted, 3 left)"));
  EXPECT_THAT(error_for("\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi."), HasSubstr("ends too early"));
  EXPECT_THAT(error_for("\x80\x06."), HasSubstr("protocol is newer than 5"));
}

TEST(Unpickler, RefusesOperationsThatNoCheckpointNeeds) {
  for (const char* operations : {"ios\nsystem\n.", "S'text'\n.", "F1.5\n.", "\x82\x01.", "\x97.", "P0\n."})
    EXPECT_THAT(error_for(operations), HasSubstr("is not supported")) << operations;
}

TEST(Unpickler, SurvivesAnyDepthOfNesting) {
  constexpr int depth = 500'000;
  std::string lists(depth + 1, ']');
  lists += std::string(depth, 'a') + '.';
  EXPECT_EQ(error_for(lists), "no error");
  EXPECT_THAT(error_for(std::string(depth, '(')), HasSubstr("nested deeper than 1000"));
}

TEST(Unpickler, LimitsValuesAndReferences) {
  EXPECT_THAT(error_for(std::string(2'000'001, 'N')), HasSubstr("more than 2000000 values"));
  EXPECT_THAT(error_for("N" + std::string(16'000'001, '2')), HasSubstr("more than 16000000 references"));
}

}  // namespace
}  // namespace pyracast
