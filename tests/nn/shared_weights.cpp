// Two objects of one process stand for two processes of a node: what they share goes by the path alone.
#include "nn/shared_weights.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "base/file.hpp"
#include "nn/weights.hpp"
#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

WeightBlock block_of(const std::string& text) {
  auto owner = std::make_shared<std::string>(text);
  return {std::shared_ptr<void>(owner, owner->data()), owner->size()};
}

std::string text_of(const WeightBlock& block) { return {static_cast<const char*>(block.data.get()), block.bytes}; }

WeightBlock never() { throw Error("made again"); }

TEST(SharedWeights, LieWhereTheFirstLaidThemDown) {
  LaidDownWeights first;
  EXPECT_EQ(text_of(first.at("a", [] { return block_of("one"); })), "one");
  EXPECT_EQ(text_of(first.at("b", [] { return block_of(std::string(10000, 'x')); })), std::string(10000, 'x'));
  EXPECT_EQ(text_of(first.at("none", [] { return block_of(""); })), "");
  EXPECT_EQ(first.bytes(), 10003u);
  FoundWeights second(first.publish());
  EXPECT_EQ(text_of(second.at("b", never)), std::string(10000, 'x'));
  EXPECT_EQ(text_of(second.at("a", never)), "one");
  EXPECT_EQ(text_of(second.at("none", never)), "");
  EXPECT_EQ(text_of(second.at("c", [] { return block_of("own"); })), "own");
}

TEST(SharedWeights, StayAsLongAsSomebodyUsesThem) {
  WeightBlock kept, found;
  {
    LaidDownWeights first;
    kept = first.at("a", [] { return block_of("one"); });
    found = FoundWeights(first.publish()).at("a", never);
  }
  EXPECT_EQ(text_of(kept), "one");
  EXPECT_EQ(text_of(found), "one");
}

TEST(SharedWeights, AreLaidDownOnce) {
  LaidDownWeights first;
  first.at("a", [] { return block_of("one"); });
  EXPECT_THAT([&] { first.at("a", [] { return block_of("two"); }); }, ThrowsMessage<Error>(HasSubstr("laid down twice: a")));
}

TEST(SharedWeights, OfAnotherKindAreRefused) {
  const TemporaryFolder folder;
  const auto refuses = [&](const std::string& content, const char* why) {
    std::ofstream(folder / "file") << content;
    EXPECT_THAT([&] { FoundWeights(folder / "file"); }, ThrowsMessage<Error>(HasSubstr(why))) << content;
  };
  refuses("short", "not weights that another process has laid down");
  refuses(std::string("{}\x40\0\0\0\0\0\0\0", 10), "not weights that another process has laid down");
  refuses(std::string("[]\2\0\0\0\0\0\0\0", 10), "not weights that another process has laid down");
  const std::string beyond = R"({"a":[1,100]})";
  refuses(beyond + std::string("\x0d\0\0\0\0\0\0\0", 8), "a lies beyond its end");
  EXPECT_THAT([&] { FoundWeights(folder / "nothing"); }, ThrowsMessage<Error>(HasSubstr("cannot be opened")));
}

TEST(SharedWeights, OfANetworkEqualItsOwn) {
  const auto backend = make_cpu_backend();
  auto values = std::make_shared<std::vector<float>>();
  for (int i = 0; i < 6 * 40; ++i) values->push_back(float(i % 17) - 8);
  const StoredTensors tensors{{"m", {DType::float32, {6, 40}, std::as_bytes(std::span(*values)), values, "test"}},
                              {"k", {DType::float32, {6, 10, 2, 2}, std::as_bytes(std::span(*values)), values, "test"}},
                              {"t", {DType::float32, {40, 6}, std::as_bytes(std::span(*values)), values, "test"}}};
  for (const auto& [dtype, products] :
       {std::pair<DType, std::optional<Packing>>{DType::float32, {}}, {DType::bfloat16, {}}, {DType::bfloat16, DType::int16}}) {
    LaidDownWeights first;
    const auto bytes = [&](SharedWeights* shared) {
      const Weights weights(*backend, tensors, {dtype, shared, products}, "test");
      std::string all;
      for (const PackedWeights& packed : {weights.matrix("m", 6, 40), weights.kernel("k", {6, 10, 2, 2}, {.kernel = {1, 2, 2}})}) {
        EXPECT_EQ(packed.dtype, products ? DType::int16 : dtype);
        EXPECT_EQ(packed.columns, 6);
        EXPECT_EQ(packed.depth, 40);
        all += text_of({packed.data, packed.bytes});
      }
      const Tensor table = weights.table("t", {40, 6});
      return all + text_of({table.buffer(), table.bytes()});
    };
    const std::string own = bytes(nullptr);
    EXPECT_EQ(bytes(&first), own);
    EXPECT_EQ(first.bytes(), own.size());
    FoundWeights second(first.publish());
    EXPECT_EQ(bytes(&second), own);
  }
}

}  // namespace
}  // namespace pyracast
