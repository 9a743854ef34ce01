#include "dataset/shard_writer.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <set>

#include "dataset/clip_hash.hpp"
#include "dataset/mp4.hpp"
#include "samples.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;

class Writer : public RunFolder {
 protected:
  /// Writes samples 0, 1, ...; every third one failed.
  static void submit(ShardWriter& writer, int count) {
    for (int n = 0; n < count; ++n) {
      if (n % 3 == 2) writer.submit(failed_sample(n), std::nullopt);
      else writer.submit(full_sample(n), small_video(n));
    }
  }
  static void wait_for(const ShardWriter& writer, uint64_t count) {
    while (writer.written() < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
};

TEST_F(Writer, MakesVideosAndSealsTheirShardAtTheEnd) {
  auto with_pixels = options();
  with_pixels.keep_pixels = true;
  ShardWriter writer(with_pixels);
  submit(writer, 3);
  writer.close();
  EXPECT_EQ(writer.written(), 3u);
  EXPECT_TRUE(fs::is_empty(layout_.journal()));
  ASSERT_EQ(sealed_shards(layout_.shards()).size(), 1u);
  const ShardReader shard(sealed_shards(layout_.shards())[0]);
  const SampleRecord row = shard.whole(1);
  EXPECT_EQ(row.pixels->rgb, small_video(1).rgb);
  EXPECT_EQ(row.video_sha256, sha256_of_file(output_ / row.video));
  EXPECT_EQ(read_mp4(output_ / row.video).frames, 3);
  EXPECT_EQ(shard.rows()[2].reason, failed_sample(2).reason);
  EXPECT_EQ(shard.rows()[2].video, "");
}

TEST_F(Writer, KeepsTheSecondsOfEncodingAndOfWriting) {
  {
    ShardWriter writer(options());
    writer.submit(small_sample(0), small_video());
    writer.close();
  }
  const SampleRecord row = read_shard(sealed_shards(layout_.shards()).at(0)).at(0);
  EXPECT_GT(row.encode_seconds, 0);
  EXPECT_LT(row.encode_seconds, 60);
  EXPECT_GT(row.write_seconds, 0);
  EXPECT_LT(row.write_seconds, 60);
}

TEST_F(Writer, MeasuresTheVideoAndFlagsIt) {
  {
    ShardWriter writer(options());
    writer.submit(small_sample(0), small_video());
    writer.submit(small_sample(1), Video{3, 16, 32, 8, std::vector<uint8_t>(3 * 16 * 32 * 3)});
    writer.close();
  }
  const auto rows = read_shard(sealed_shards(layout_.shards()).at(0));
  EXPECT_EQ(rows.at(0).quality_flags, "frozen") << "its frames are equal";
  EXPECT_EQ(rows.at(0).quality.mean_luma, measure_quality(small_video()).mean_luma);
  EXPECT_EQ(rows.at(0).perceptual_hash, to_text(hash_of(small_video())));
  EXPECT_EQ(rows.at(1).quality_flags, "black,frozen");
  EXPECT_EQ(rows.at(1).quality.dark_share, 1);
}

TEST_F(Writer, BeginsAnotherShardAfterSoManySamples) {
  auto two = options();
  two.most_samples = 2;
  ShardWriter writer(two);
  submit(writer, 5);
  writer.close();
  EXPECT_EQ(sealed_shards(layout_.shards()).size(), 3u);
  EXPECT_EQ(in_shards().size(), 5u);
}

TEST_F(Writer, BeginsAnotherShardAfterSoManyBytes) {
  auto small = options();
  small.most_bytes = 1;   // any array fills a shard; a failed sample has none
  ShardWriter writer(small);
  submit(writer, 4);
  writer.close();
  EXPECT_EQ(sealed_shards(layout_.shards()).size(), 3u);
}

TEST_F(Writer, OfNothingLeavesNothing) {
  ShardWriter(options()).close();
  EXPECT_TRUE(fs::is_empty(layout_.shards()));
  EXPECT_TRUE(fs::is_empty(layout_.journal()));
}

TEST_F(Writer, KilledAfterAnySampleLosesNoneThatWasWritten) {
  for (int count = 0; count <= 5; ++count) {
    fs::remove_all(output_);
    fs::create_directories(output_);
    const pid_t child = ::fork();
    if (child == 0) {
      auto two = options();
      two.most_samples = 2;
      ShardWriter writer(two);
      submit(writer, count);
      wait_for(writer, uint64_t(count));
      ::_exit(0);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    recover();
    EXPECT_EQ(finished_.size(), size_t(count));
    EXPECT_EQ(in_shards().size(), size_t(count));
    EXPECT_THAT(messages_, IsEmpty());
  }
}

TEST_F(Writer, KilledAtAnyMomentLeavesWholeSamplesEachOnce) {
  for (int milliseconds = 0; milliseconds < 30; milliseconds += 2) {
    fs::remove_all(output_);
    fs::create_directories(output_);
    const pid_t child = ::fork();
    if (child == 0) {
      auto two = options();
      two.most_samples = 2;
      ShardWriter writer(two);
      submit(writer, 1000);
      ::_exit(0);
    }
    ASSERT_GT(child, 0);   // kill(-1) would mean every process there is
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    recover();
    const auto found = in_shards();
    EXPECT_EQ(std::set(found.begin(), found.end()).size(), found.size());
    EXPECT_EQ(finished_.size(), found.size());
    for (size_t n = 0; n < found.size(); ++n) EXPECT_TRUE(std::count(found.begin(), found.end(), concat("sample-", n))) << n;
  }
}

TEST_F(Writer, KilledBetweenSealingAndClearingTheJournalCountsSamplesOnce) {
  auto two = options();
  two.most_samples = 2;
  ShardWriter writer(two);
  submit(writer, 1);
  wait_for(writer, 1);
  fs::copy_file(layout_.journal() / "team-0.journal", output_ / "kept");
  submit(writer, 1);
  writer.close();
  fs::rename(output_ / "kept", layout_.journal() / "team-0.journal");
  fs::remove(sealed_shards(layout_.shards())[0]);
  put_shard({full_sample(0)});
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-0"));
}

TEST_F(Writer, OnAFullDiskEndsWithAnErrorThatNamesTheFile) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{20000, 20000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      ShardWriter writer(options());
      SampleRecord large = full_sample(1);
      large.latents = {{1, 1, 1, 100000}, std::vector<float>(100000)};
      writer.submit(failed_sample(0), std::nullopt);
      writer.submit(large, std::nullopt);
      writer.close();
    } catch (const Error& error) {
      ::_exit(std::string(error.what()).find("team-0.journal: writing the journal failed: File too large") != std::string::npos
                  ? int(error.code) : 2);
    }
    ::_exit(3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), int(ExitCode::environment));
  recover();
  EXPECT_THAT(finished_, ElementsAre("sample-0 failed"));
}

}  // namespace
}  // namespace pyracast
