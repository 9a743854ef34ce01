#include "dataset/prompt_index.hpp"

#include <set>

#include "manifest_test.hpp"

namespace pyracast {
namespace {

class PromptIndexFile : public ManifestTest {};

TEST_F(PromptIndexFile, TellsIdsOfTheSameHashApart) {
  IdTable table(folder_);
  table.insert(5, 0);
  table.insert(5, 1);
  EXPECT_EQ(table.find(5, [](uint64_t prompt) { return prompt == 1; }), 1u);
  EXPECT_EQ(table.find(5, [](uint64_t) { return false; }), std::nullopt);
  EXPECT_EQ(table.find(6, [](uint64_t) { return true; }), std::nullopt);
}

TEST_F(PromptIndexFile, KeepsAllIdsWhileItsTableGrows) {
  IdTable table(folder_);
  for (uint64_t i = 0; i < 100000; ++i) table.insert(hash_of_id(std::to_string(i)), i);
  for (uint64_t i = 0; i < 100000; ++i)
    ASSERT_EQ(table.find(hash_of_id(std::to_string(i)), [&](uint64_t prompt) { return prompt == i; }), i);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(PromptIndexFile, TakesAtMost64BytesAPrompt) {
  PromptIndexWriter writer(folder_ / "manifest.index.tmp");
  IdTable ids(folder_);
  for (uint64_t i = 0; i < 1000; ++i) {
    writer.add({.cost = double(i % 10), .samples = 1});
    ids.insert(hash_of_id(std::to_string(i)), i);
  }
  EXPECT_EQ(writer.read_back(7).cost, 7);
  writer.publish({}, ids, folder_ / "manifest.index");
  EXPECT_LE(std::filesystem::file_size(folder_ / "manifest.index"), 1000 * 64u);

  const PromptIndex index(folder_ / "manifest.index");
  EXPECT_EQ(index.header().samples, 1000u);
  for (uint64_t i = 0; i < 1000; ++i) {
    const auto found = index.with_hash(hash_of_id(std::to_string(i)));
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].prompt, i);
  }
  const auto order = index.longest_first();
  EXPECT_EQ(std::set<uint32_t>(order.begin(), order.end()).size(), 1000u);
  for (size_t k = 1; k < order.size(); ++k)
    ASSERT_GE(std::pair(index.entries()[order[k - 1]].cost, order[k]),
              std::pair(index.entries()[order[k]].cost, order[k - 1]));
}

}  // namespace
}  // namespace pyracast
