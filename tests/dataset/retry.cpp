#include "dataset/retry.hpp"

#include "dataset/verify.hpp"
#include "whole_dataset.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
namespace fs = std::filesystem;

class Retry : public WholeDataset {
 protected:
  const std::string class_ = "the latents are not finite after step N of N";
};

TEST_F(Retry, MakesFailedSamplesUndoneAndTouchesNothingThatIsDone) {
  const auto other = shard_of("a");
  const std::string untouched = read_file(other), lines = read_file(layout_.metadata());
  const SampleRecord d = ShardReader(shard_of("d")).whole(0);
  const Retried result = retry_failed({.output = output_});
  EXPECT_THAT(result.undone, ElementsAre(Pair(class_, 1)));
  EXPECT_EQ(read_file(other), untouched);
  EXPECT_EQ(read_file(layout_.metadata()), lines);
  EXPECT_THAT(ShardReader(shard_of("d")).whole(0), IsSample(d));
  const Verification found = verify({.output = output_});
  EXPECT_THAT(found.findings, IsEmpty());
  EXPECT_EQ(found.done, 6u);
  EXPECT_EQ(found.left, 1u);
  recover();
  EXPECT_EQ(finished_.size(), 6u);
  EXPECT_THAT(messages_, IsEmpty());
}

TEST_F(Retry, TakesOnlyTheClassesItIsGiven) {
  EXPECT_THAT(retry_failed({.output = output_, .classes = {"out of memory"}}).kept, ElementsAre(Pair(class_, 1)));
  EXPECT_EQ(verify({.output = output_, .videos_percent = 0}).failed, 1u);
  EXPECT_THAT(retry_failed({.output = output_, .classes = {"out of memory", "not finite"}}).undone, ElementsAre(Pair(class_, 1)));
  EXPECT_EQ(verify({.output = output_, .videos_percent = 0}).failed, 0u);
}

TEST_F(Retry, OnlyCountsInADryRun) {
  EXPECT_THAT(retry_failed({.output = output_, .dry_run = true}).undone, ElementsAre(Pair(class_, 1)));
  EXPECT_EQ(verify({.output = output_, .videos_percent = 0}).failed, 1u);
}

TEST_F(Retry, FindsFailuresInTheJournalsOfAJobThatDied) {
  SampleRecord done = record("g", 0);
  done.pixels.reset();
  const auto path = put_journal("team-0.journal", {failed_sample(0), done});
  EXPECT_THAT(retry_failed({.output = output_}).undone, ElementsAre(Pair("latents are not finite after step N", 1), Pair(class_, 1)));
  std::vector<std::string> left;
  EXPECT_THAT(read_journal(path, run_fingerprint, [&](const SampleRecord& row) { left.push_back(row.id); }).problem, IsEmpty());
  EXPECT_THAT(left, ElementsAre("g"));
}

TEST_F(Retry, LeavesATornJournalToGenerate) {
  const auto path = put_journal("team-0.journal", {failed_sample(0), failed_sample(1)});
  cut(path, fs::file_size(path) - 1);
  const std::string before = read_file(path);
  EXPECT_EQ(retry_failed({.output = output_}).notes.size(), 1u);
  EXPECT_EQ(read_file(path), before);
}

TEST_F(Retry, GoesOnAfterAKillThatCameBeforeTheIndexWasMade) {
  remove_index(output_);   // what a kill right before the first shard's rename leaves
  EXPECT_THAT(retry_failed({.output = output_}).undone, ElementsAre(Pair(class_, 1)));
  EXPECT_TRUE(fs::exists(layout_.index()));
  remove_index(output_);   // and right behind the last one's
  EXPECT_THAT(retry_failed({.output = output_}).undone, IsEmpty());
  EXPECT_TRUE(fs::exists(layout_.index()));
}

}  // namespace
}  // namespace pyracast
