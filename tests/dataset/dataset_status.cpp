#include "dataset/dataset_status.hpp"

#include "whole_dataset.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;

class Status : public WholeDataset {};

TEST_F(Status, CountsWhatTheShardsHold) {
  const DatasetStatus status = StatusReader(output_).read(2000);
  EXPECT_THAT(std::vector({status.asked_for, status.done, status.failed, status.left, status.shards}), ElementsAre(7, 6, 1, 0, 2));
  EXPECT_THAT(status.failures, ElementsAre(testing::Pair("the latents are not finite after step N of N", 1)));
  EXPECT_EQ(status.running, "");
  EXPECT_EQ(status.seconds_left, 0);
}

TEST_F(Status, CountsASampleOnceThatIsInAJournalAndThenInAShard) {
  write_manifest({"a", "b", "c", "d", "e", "f", "g"});
  SampleRecord f = record("f", 0);
  f.pixels.reset();
  const auto journal = layout_.journal() / "team-0.journal";
  JournalWriter(journal, run_fingerprint).append(f);
  StatusReader reader(output_);
  EXPECT_EQ(reader.read(2000).done, 7u);
  EXPECT_EQ(reader.read(2000).left, 1u);
  put_shard({f});
  EXPECT_EQ(reader.read(2000).done, 7u);
  fs::remove(journal);
  EXPECT_EQ(reader.read(2000).done, 7u);
  fs::remove(shard_of("f"));
  EXPECT_EQ(reader.read(2000).done, 6u) << "a shard that goes is not remembered";
}

TEST_F(Status, FollowsAManifestThatGrows) {
  StatusReader reader(output_);
  EXPECT_EQ(reader.read(2000).left, 0u);
  write_manifest({"a", "b", "c", "d", "e", "f", "g"});
  EXPECT_EQ(reader.read(2000).left, 2u);
}

TEST_F(Status, GivesThePaceOfTheLatestRunAndWhatIsLeftByIt) {
  write_manifest({"a", "b", "c", "d", "e", "f", "g"});
  const DatasetStatus status = StatusReader(output_).read(2000);
  EXPECT_DOUBLE_EQ(status.last_ended - status.started, 22);   // samples begin at 1000, 1010, 1020
  EXPECT_DOUBLE_EQ(status.samples_a_second, 7 / 22.0);
  ASSERT_TRUE(status.seconds_left);
  EXPECT_DOUBLE_EQ(*status.seconds_left, 2 * 22 / 7.0);
}

TEST_F(Status, NamesTheTeamThatIsSlow) {
  const DatasetStatus status = StatusReader(output_).read(2000);
  ASSERT_EQ(status.teams.size(), 2u);
  EXPECT_EQ(status.teams.at(0).host, "node-0");
  EXPECT_THAT(status.teams.at(0).straggles, IsEmpty());
  EXPECT_DOUBLE_EQ(status.teams.at(1).speed, 0.25);
  EXPECT_THAT(status.teams.at(1).straggles, HasSubstr("needs 4 times the median's time"));
}

TEST_F(Status, SaysHowTheLastRunEndedAndWhatItWarnedOf) {
  fs::create_directories(layout_.logs());
  EXPECT_EQ(StatusReader(output_).read(0).last_words, "");
  write_atomically(layout_.logs() / "rank-0.log", "[2030-01-01 00:00:02.000] [pyracast] [warning] c sample 0 failed\n"
                                                  "[2030-01-01 00:00:03.000] [pyracast] [info] the job ends: complete\n");
  write_atomically(layout_.logs() / "rank-1.log",
                   "[2030-01-01 00:00:01.000] [pyracast] [warning] earlier\n[2030] [pyracast] [info] x\n");
  const DatasetStatus ended = StatusReader(output_).read(0);
  EXPECT_EQ(ended.last_words, "complete");
  EXPECT_THAT(ended.warnings, ElementsAre(HasSubstr("earlier"), HasSubstr("c sample 0 failed")));
  write_atomically(layout_.logs() / "rank-0.log",
                   read_file(layout_.logs() / "rank-0.log") + "[2030-01-02] [pyracast] [info] rank 0 of 1\n");
  EXPECT_EQ(StatusReader(output_).read(0).last_words, "") << "a later run began and has not ended";
}

TEST_F(Status, SaysWhichShardCannotBeRead) {
  cut(shard_of("d"), 100);
  const DatasetStatus status = StatusReader(output_).read(0);
  EXPECT_EQ(status.left, 3u);
  EXPECT_THAT(status.warnings, ElementsAre(HasSubstr("shard-")));
}

TEST_F(Status, NamesWhatIsMissing) {
  EXPECT_THAT(StatusReader(output_).read(0).missing, IsEmpty());
  const fs::path shard = shard_of("d");
  fs::remove(shard);
  EXPECT_THAT(StatusReader(output_).read(0).missing,
              ElementsAre(shard.lexically_relative(output_).string() + " is not there, and index.h5 lists it"));
  fs::remove_all(layout_.videos());
  write_atomically(layout_.run(), R"({"missing_parts": ["1/3"]})");
  const DatasetStatus status = StatusReader(output_).read(0);
  EXPECT_THAT(status.missing, ElementsAre(HasSubstr("videos/"), HasSubstr("shards/"), HasSubstr("[\"1/3\"]")));
  EXPECT_THAT(status.warnings, IsEmpty());
  fs::remove_all(layout_.shards());
  EXPECT_THAT(StatusReader(output_).read(0).missing, testing::Contains(HasSubstr("the folder shards/")));
}

TEST_F(Status, NamesTheFirstOfManyShardsThatAreMissing) {
  for (int n = 0; n < 25; ++n) put_shard({failed_sample(n)});
  derive(output_, {});
  fs::remove_all(layout_.shards());
  fs::create_directories(layout_.shards());
  const auto missing = StatusReader(output_).read(0).missing;
  ASSERT_EQ(missing.size(), 21u);
  EXPECT_THAT(missing.back(), HasSubstr("and 7 shards more"));
}

TEST_F(Status, SaysThatTheIndexCannotBeRead) {
  cut(layout_.index(), 200);
  const DatasetStatus status = StatusReader(output_).read(0);
  EXPECT_EQ(status.left, 0u);
  EXPECT_THAT(status.warnings, ElementsAre(HasSubstr("what is missing is not known")));
}

TEST_F(Status, SurvivesAnyBitThatIsFlippedInAShard) {
  const auto path = shard_of("d");
  const std::string sound = read_file(path);
  for (size_t byte = 40; byte < sound.size(); byte += sound.size() / 31) {
    flip_bit(path, byte, int(byte % 8));
    const DatasetStatus status = StatusReader(output_).read(0);
    EXPECT_EQ(status.left > 0, !status.warnings.empty()) << "byte " << byte << ": what cannot be read is told";
    write_atomically(path, sound);
  }
}

TEST_F(Status, RefusesAFolderThatHoldsNoDataset) { EXPECT_THROW(StatusReader(output_ / "none"), Error); }

}  // namespace
}  // namespace pyracast
