#include "dataset/recover.hpp"

#include "samples.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
namespace fs = std::filesystem;

class Recover : public RunFolder {};

TEST_F(Recover, OfAnEmptyFolderFindsNothing) {
  fs::remove_all(layout_.shards());
  fs::remove_all(layout_.journal());
  recover();
  EXPECT_THAT(finished_, IsEmpty());
  EXPECT_THAT(messages_, IsEmpty());
}

TEST_F(Recover, RemovesTemporaryFiles) {
  const std::vector<fs::path> leftovers{layout_.shards() / ".team-0.123.tmp", layout_.work() / "a.1.tmp", output_ / "index.h5.tmp",
                                        output_ / "run.json.123.tmp", output_ / "index.part-00001.h5.tmp"};
  for (const auto& path : leftovers) write_atomically(path, "x");
  const std::vector<fs::path> of_the_user{layout_.shards() / "x" / "model.tmp", output_ / "mydata.tmp", output_ / "run.json.old.tmp"};
  fs::create_directories(layout_.shards() / "x");
  for (const auto& path : of_the_user) write_atomically(path, "x");
  recover();
  for (const auto& path : leftovers) EXPECT_FALSE(fs::exists(path)) << path;
  for (const auto& path : of_the_user) EXPECT_TRUE(fs::exists(path)) << path;
}

TEST_F(Recover, FoldsJournalsIntoShardsWithTheirArrays) {
  put_journal("team-0.journal", {full_sample(0), failed_sample(1)});
  put_journal("team-1.journal", {full_sample(2)});
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-0", "sample-1 failed", "sample-2"));
  EXPECT_THAT(messages_, IsEmpty());
  EXPECT_TRUE(fs::is_empty(layout_.journal()));
  std::vector<SampleRecord> found;
  for (const auto& path : sealed_shards(layout_.shards())) {
    const ShardReader shard(path);
    for (size_t i = 0; i < shard.size(); ++i) found.push_back(shard.whole(i));
  }
  EXPECT_THAT(found, UnorderedElementsAre(IsSample(full_sample(0)), IsSample(failed_sample(1)), IsSample(full_sample(2))));
}

TEST_F(Recover, CountsASampleOnceThatStandsInAShardAndInJournals) {
  put_shard({small_sample(0), small_sample(1)});
  put_journal("team-0.journal", {small_sample(0), small_sample(1), small_sample(2)});
  put_journal("team-1.journal", {small_sample(2), small_sample(3)});
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-0", "sample-1", "sample-2", "sample-3"));
  EXPECT_THAT(in_shards(), ElementsAre("sample-0", "sample-1", "sample-2", "sample-3"));
}

TEST_F(Recover, TakesSecondRowsOfSamplesOutOfTheirShards) {
  const auto first = put_shard({full_sample(0), failed_sample(1)});
  fs::copy_file(first, layout_.shards() / "shard-zz.h5");
  put_shard({full_sample(2), small_sample(0)});
  put_shard({full_sample(3), small_sample(3)});
  recover();
  EXPECT_THAT(finished_, UnorderedElementsAre("sample-0", "sample-1 failed", "sample-2", "sample-3"));
  EXPECT_THAT(in_shards(), ElementsAre("sample-0", "sample-1", "sample-2", "sample-3"));
  EXPECT_THAT(messages_, testing::Each(HasSubstr("in another row as well")));
  EXPECT_FALSE(fs::exists(layout_.quarantine())) << "their videos are those of the first rows";
  recover();
  EXPECT_EQ(finished_.size(), 4u);
  EXPECT_THAT(messages_, IsEmpty());
}

TEST_F(Recover, KeepsTheWholeRecordsOfATornJournal) {
  const auto path = put_journal("team-0.journal", {small_sample(0), small_sample(1)});
  cut(path, fs::file_size(path) - 1);
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-0"));
  EXPECT_THAT(messages_, ElementsAre(HasSubstr("1 sample before it was kept")));
  EXPECT_TRUE(fs::exists(layout_.quarantine() / "team-0.journal"));
}

TEST_F(Recover, RemovesAJournalThatWasTornAtItsCreation) {
  for (const size_t size : {0, 5, 71, 72}) {
    cut(put_journal("team-0.journal", {}), size);
    recover();
    EXPECT_THAT(messages_, IsEmpty());
    EXPECT_TRUE(fs::is_empty(layout_.journal()));
  }
}

TEST_F(Recover, PutsBrokenShardsAsideAndTheirSamplesAreUnfinished) {
  const auto broken = put_shard({small_sample(0)});
  put_shard({small_sample(1)});
  cut(broken, fs::file_size(broken) / 2);
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-1"));
  EXPECT_THAT(messages_, ElementsAre(testing::AllOf(HasSubstr("is not a sound shard"), HasSubstr("its samples are made again"))));
  EXPECT_TRUE(fs::exists(layout_.quarantine() / broken.filename()));
  EXPECT_FALSE(fs::exists(broken));
}

TEST_F(Recover, PutsAsideWhatBelongsToAnotherRun) {
  put_shard({small_sample(0)}, other_fingerprint);
  put_journal("team-0.journal", {small_sample(1)}, other_fingerprint);
  put_shard({small_sample(2)});
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-2"));
  EXPECT_THAT(messages_, ElementsAre(HasSubstr("belongs to a run of other settings"), HasSubstr("belongs to a run of other settings")));
}

TEST_F(Recover, TakesASampleWhoseVideoIsGoneOutOfItsShard) {
  const auto path = put_shard({full_sample(0), full_sample(1), failed_sample(2)});
  fs::remove(output_ / full_sample(0).video);
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-1", "sample-2 failed"));
  EXPECT_THAT(messages_, ElementsAre(HasSubstr("sample-0.mp4: is missing; sample 0 of \"sample-0\" is made again")));
  EXPECT_EQ(ShardReader(path).size(), 2u);
  EXPECT_THAT(ShardReader(path).whole(0), IsSample(full_sample(1)));
  EXPECT_THAT(ShardReader(path).whole(1), IsSample(failed_sample(2)));
  fs::remove(output_ / full_sample(1).video);
  put_journal("team-0.journal", {small_sample(3)});
  fs::remove(output_ / small_sample(3).video);
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-2 failed"));
  EXPECT_EQ(messages_.size(), 2u);
}

TEST_F(Recover, PutsAVideoThatWasChangedAside) {
  put_shard({full_sample(0), full_sample(1)});
  put_journal("team-0.journal", {small_sample(2), small_sample(3)});
  cut(output_ / full_sample(1).video, 3);
  flip_bit(output_ / small_sample(2).video, 2);
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-0", "sample-3"));
  EXPECT_THAT(in_shards(), ElementsAre("sample-0", "sample-3"));
  EXPECT_THAT(messages_, ElementsAre(
      testing::AllOf(HasSubstr("sample-1.mp4: does not fit its checksum and was moved to "), HasSubstr("quarantine/sample-1.mp4; ")),
      HasSubstr("quarantine/sample-2.mp4; sample 0 of \"sample-2\" is made again")));
  EXPECT_EQ(read_file(layout_.quarantine() / "sample-1.mp4"), "a v");
}

TEST_F(Recover, FindsSilentDamageOfAVideoWhenItIsToldToReadEverything) {
  const auto shard = put_shard({small_sample(0), small_sample(1)}), video = output_ / small_sample(0).video;
  flip_bit(video, 2);
  fs::last_write_time(video, fs::last_write_time(shard) - std::chrono::hours(1));   // as a worn disk changes it
  recover();
  EXPECT_EQ(finished_.size(), 2u);
  recover(RecoverReads::everything);
  EXPECT_THAT(finished_, ElementsAre("sample-1"));
  EXPECT_THAT(messages_, ElementsAre(HasSubstr("sample-0.mp4: does not fit its checksum")));
}

TEST_F(Recover, PutsAShardWithAFlippedBitAsideWhereverThatIs) {
  const auto shard = put_shard({full_sample(0), full_sample(1)});
  const std::string whole = read_file(shard);
  for (size_t n = 0; n < 20; ++n) {
    write_atomically(shard, whole);
    flip_bit(shard, whole.size() * n / 20 + n, int(n % 8));
    recover();
    ASSERT_THAT(finished_, IsEmpty()) << n;
    ASSERT_THAT(messages_, ElementsAre(HasSubstr("its samples are made again"))) << n;
    ASSERT_FALSE(fs::exists(shard));
  }
}

TEST_F(Recover, RemovesAShardNoneOfWhoseVideosIsLeft) {
  put_shard({full_sample(0)});
  fs::remove_all(layout_.videos());
  recover();
  EXPECT_THAT(finished_, IsEmpty());
  EXPECT_THAT(sealed_shards(layout_.shards()), IsEmpty());
}

TEST_F(Recover, RunAgainFindsTheSame) {
  put_shard({small_sample(0)});
  put_journal("team-0.journal", {small_sample(1), failed_sample(2)});
  recover();
  auto before = finished_;
  recover();
  std::sort(before.begin(), before.end());
  std::sort(finished_.begin(), finished_.end());
  EXPECT_EQ(finished_, before);
  EXPECT_THAT(messages_, IsEmpty());
}

}  // namespace
}  // namespace pyracast
