#include <gtest/gtest.h>

#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {
namespace {

TEST(MemoryPool, TakesNothingFromTheSystemWhenAStepIsRepeated) {
  const auto pool = std::make_shared<MemoryPool>();
  size_t made = 0;
  for (int step = 0; step < 5; ++step) {
    std::vector<std::shared_ptr<void>> blocks;
    for (const size_t kib : {64, 64, 192, 256, 64}) blocks.push_back(pool->allocate(kib << 10));
    blocks.erase(blocks.begin() + 1, blocks.end());
    blocks.push_back(pool->allocate(128 << 10));
    if (step == 0) made = pool->blocks_made();
    EXPECT_EQ(pool->blocks_made(), made);
  }
}

TEST(MemoryPool, HoldsAtMostTwiceWhatWasEverInUseWhateverTheSizes) {
  const auto pool = std::make_shared<MemoryPool>();
  size_t most_in_use = 0;
  for (size_t size = 1; size <= 400; ++size) {   // prompts of every length
    const auto first = pool->allocate(size << 12), second = pool->allocate((size << 12) + 64);
    most_in_use = std::max(most_in_use, 2 * (size << 12) + 64);
    EXPECT_LE(pool->bytes_held(), 2 * most_in_use);
  }
}

}  // namespace
}  // namespace pyracast
