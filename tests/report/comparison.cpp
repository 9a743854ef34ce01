#include "report/comparison.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

#include "../dataset/samples.hpp"
#include "dataset/mp4.hpp"
#include "dataset/prompt_index.hpp"
#include "dataset/shard_file.hpp"
#include "report/comparison_page.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class CompareDatasets : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::unique_ptr<Backend> backend_ = make_cpu_backend();

  /// A sample of three steps that take `seconds` each, all pixels `value`, its latents as well.
  static SampleRecord sample(int n, uint8_t value, float seconds, float latent) {
    SampleRecord record = small_sample(n);
    record.started = 100;
    record.ended = 100 + 10 * seconds;
    record.pixels = Video{3, 16, 32, 8, std::vector<uint8_t>(3 * 16 * 32 * 3, value)};
    for (int step = 0; step < 3; ++step) {
      record.step_seconds.push_back({seconds / 2, seconds / 2, 0, 0, 0, 0});
      record.step_counts.push_back({4, step == 1 && latent != 1 ? 0 : 4, 4, 4, 4, 4, 8, 100, latent != 1 ? 50 : 0, 0});
    }
    record.step_latents = {{3, 1, 1, 1, 2}, {1, 1, latent, latent, latent, latent}};
    return record;
  }
  fs::path run(const std::string& name, const std::vector<SampleRecord>& samples, const Json& configuration) const {
    const fs::path output = folder_.path() / name;
    add_shard(output, samples);
    write_atomically(output / "run.json", Json{{"configuration", configuration}}.dump());
    return output;
  }
  /// A shard of these samples, and their videos.
  fs::path add_shard(const fs::path& output, const std::vector<SampleRecord>& samples, bool keep_pixels = true) const {
    fs::create_directories(output / "shards");
    ShardFile shard(output / "shards" / "x.tmp", run_fingerprint, "{}");
    for (SampleRecord record : samples) {
      if (record.pixels) {
        fs::create_directories((output / record.video).parent_path());
        write_mp4(output / record.video, *record.pixels, {}, 18);
      }
      if (!keep_pixels) record.pixels.reset();
      shard.append(record);
    }
    return shard.seal(output / "shards");
  }
  /// What a file of the last comparison holds.
  Json written(const DatasetComparison& c) const {
    ComparisonFile file(folder_.path() / "page" / "compare.json");
    for (const SampleComparison& sample : samples_) file.add(sample);
    EXPECT_FALSE(fs::exists(folder_.path() / "page" / "compare.json"));
    file.finish(c);
    return read_json(folder_.path() / "page" / "compare.json");
  }
  std::vector<SampleComparison> samples_;   // of the last comparison, as they came
  DatasetComparison compared(const fs::path& a, const fs::path& b, size_t worst = 500) {
    samples_.clear();
    return compare_datasets(a, b, *backend_, {.worst = worst, .each = [&](const SampleComparison& sample) { samples_.push_back(sample); }});
  }
};

TEST_F(CompareDatasets, MatchesSamplesAndSaysHowAlikeTheyAreAndWhatTheyCost) {
  const auto a = run("a", {sample(1, 100, 2, 1), sample(2, 100, 2, 1), failed_sample(3)}, {{"steps", 30}, {"broadcast", ""}, {"output", "a"}});
  const auto b =
      run("b", {sample(2, 151, 1, 3), sample(1, 100, 1, 1), sample(4, 0, 1, 1)}, {{"steps", 30}, {"broadcast", "x.json"}, {"output", "b"}});
  const DatasetComparison c = compared(a, b);
  ASSERT_EQ(samples_.size(), 2u);
  EXPECT_EQ(samples_[0].id, "sample-1");
  EXPECT_EQ(samples_[0].mean_psnr, 100);
  EXPECT_NEAR(samples_[1].mean_psnr, -20 * std::log10(51 / 255.0), 1e-4);
  EXPECT_LT(*samples_[1].mean_ssim, 1);
  EXPECT_FALSE(samples_[1].mean_lpips);
  EXPECT_THAT(c.only_in[0].first, ElementsAre("sample-3 0"));
  EXPECT_THAT(c.only_in[1].first, ElementsAre("sample-4 0"));
  EXPECT_THAT(c.failed[0].first, ElementsAre("sample-3 0"));
  EXPECT_THAT(std::vector({c.only_in[0].count, c.only_in[1].count, c.failed[0].count, c.failed[1].count}), ElementsAre(1, 1, 1, 0));
  EXPECT_EQ(c.not_comparable.count, 0u);
  ASSERT_EQ(c.settings.size(), 1u);
  EXPECT_THAT(c.settings[0], ElementsAre("broadcast", "", "x.json"));
  EXPECT_NEAR(c.runs[0].denoising_seconds, 12, 1e-6);
  EXPECT_NEAR(c.runs[1].denoising_seconds, 6, 1e-6);
  EXPECT_NEAR(c.runs[0].seconds / c.runs[1].seconds, 2, 1e-9);
  EXPECT_EQ(c.runs[1].attentions, 2 * 3 * 16);
  EXPECT_EQ(c.runs[1].attentions_reused, 4);
  EXPECT_EQ(c.runs[1].bytes_sent, 600);
  EXPECT_EQ(c.runs[1].bytes_avoided, 150);
  EXPECT_TRUE(c.pixels_kept);
}

TEST_F(CompareDatasets, FollowsTheDriftOfTheLatentsFromStepToStep) {
  const auto c = compared(run("a", {sample(1, 100, 2, 1)}, {}), run("b", {sample(1, 100, 1, 3)}, {}));
  ASSERT_EQ(samples_[0].steps.size(), 3u);
  EXPECT_EQ(samples_[0].steps[0].drift, 0);
  EXPECT_EQ(samples_[0].steps[1].drift, 2);   // 3 against 1
  EXPECT_EQ(samples_[0].steps[2].seconds[1], 1);
  EXPECT_EQ(samples_[0].latents_drift, 2);
  ASSERT_EQ(c.steps.size(), 1u);
  EXPECT_EQ(c.steps.at(3)[1].drift.mean(), 2);
  EXPECT_EQ(c.steps.at(3)[2].seconds[0].mean(), 2);
}

TEST_F(CompareDatasets, KeepsTheLeastAlikeAndTheSumsOfAll) {
  const auto a = run("a", {sample(1, 100, 1, 1), sample(2, 100, 1, 1), sample(3, 100, 1, 1), sample(4, 100, 1, 1)}, {});
  const auto b = run("b", {sample(1, 110, 1, 1), sample(2, 130, 1, 1), sample(3, 100, 1, 1), sample(4, 120, 1, 1)}, {});
  const DatasetComparison c = compared(a, b, 2);
  ASSERT_EQ(c.worst.size(), 2u);
  EXPECT_EQ(c.worst[0].id, "sample-2");
  EXPECT_EQ(c.worst[1].id, "sample-4");
  EXPECT_EQ(c.compared, 4u);
  EXPECT_EQ(c.psnr.count, 4u);
  EXPECT_EQ(c.psnr.least, c.worst[0].mean_psnr);
  EXPECT_EQ(c.psnr.most, 100);
  ASSERT_EQ(c.frames.size(), 3u);
  EXPECT_EQ(c.frames[2].count, 4u);
  EXPECT_NEAR(c.frames[2].mean(), c.psnr.mean(), 1e-9);
}

TEST_F(CompareDatasets, NamesWhatCannotBeReadAndComparesTheRest) {
  const fs::path a = run("a", {sample(9, 100, 1, 1)}, {}), b = run("b", {sample(9, 100, 1, 1)}, {});
  for (const fs::path& output : {a, b}) {
    add_shard(output, {sample(1, 100, 1, 1), sample(2, 100, 1, 1), sample(3, 100, 1, 1), sample(4, 100, 1, 1)}, false);
  }
  write_atomically(a / video_path("sample-1", 0), "no video");
  fs::remove(b / video_path("sample-2", 0));
  write_mp4(b / video_path("sample-3", 0), Video{2, 16, 32, 8, std::vector<uint8_t>(2 * 16 * 32 * 3)}, {}, 18);
  const fs::path damaged = add_shard(a, {sample(5, 100, 1, 1)});
  add_shard(b, {sample(5, 100, 1, 1)});
  flip_bit(damaged, 3000);

  const DatasetComparison c = compared(a, b);
  EXPECT_EQ(c.compared, 2u) << "samples 4 and 9";
  EXPECT_EQ(c.not_comparable.count, 4u);
  EXPECT_THAT(c.not_comparable.first,
              testing::UnorderedElementsAre(
                  testing::AllOf(HasSubstr(damaged.string()), HasSubstr("does not fit its checksum")),
                  testing::AllOf(HasSubstr("sample 0 of \"sample-1\""), HasSubstr((a / video_path("sample-1", 0)).string())),
                  testing::AllOf(HasSubstr("sample 0 of \"sample-2\""), HasSubstr((b / video_path("sample-2", 0)).string())),
                  testing::AllOf(HasSubstr("sample 0 of \"sample-3\""), HasSubstr("2 x 16 x 32"), HasSubstr("expected the same size"))));
  EXPECT_THAT(c.only_in[1].first, ElementsAre("sample-5 0"));
  EXPECT_EQ(c.runs[0].seconds, 2 * 10);
  EXPECT_THAT(comparison_table(c), testing::AllOf(HasSubstr("of different sizes: 4"), HasSubstr(damaged.string())));
  EXPECT_THAT(comparison_page(c, 0), testing::AllOf(HasSubstr("4 that cannot be read or are of different sizes"), HasSubstr(damaged.string())));
  EXPECT_EQ(written(c)["not_comparable"]["count"], 4);
}

TEST_F(CompareDatasets, TellsSamplesApartWhoseIdsHaveTheSameHash) {
  std::vector<SampleRecord> samples{sample(1, 100, 1, 1), sample(2, 100, 1, 1)};
  samples[0].id = "8yn0iYCKYHlIj4-BwPqk", samples[1].id = "GReLUrM4wMqfg9yzV3KQ";   // FNV-1a of 64 bits gives one number
  ASSERT_EQ(hash_of_id(samples[0].id), hash_of_id(samples[1].id));
  const auto a = run("a", samples, {}), b = run("b", {samples[1], samples[0]}, {}), only_one = run("c", {samples[1]}, {});
  EXPECT_EQ(compared(a, b).compared, 2u);
  const DatasetComparison c = compared(a, only_one);
  EXPECT_EQ(c.compared, 1u);
  EXPECT_THAT(c.only_in[0].first, ElementsAre("8yn0iYCKYHlIj4-BwPqk 0"));
}

TEST_F(CompareDatasets, TellsThatNothingCanBeReadWhereNothingCan) {
  const auto a = run("a", {}, {}), b = run("b", {}, {});
  for (const fs::path& output : {a, b}) add_shard(output, {sample(1, 100, 1, 1)}, false);
  fs::remove(a / video_path("sample-1", 0));
  const DatasetComparison c = compared(a, b);
  EXPECT_EQ(c.compared, 0u);
  EXPECT_THAT(comparison_table(c), HasSubstr("of different sizes: 1"));
  EXPECT_THAT(comparison_page(c, 5), HasSubstr("1 that cannot be read"));
  EXPECT_TRUE(written(c)["samples"].empty());
}

TEST_F(CompareDatasets, HoldsTheRowsOfSomeShardsOnly) {
  // Each shard holds one sample whose two texts take 0.2 MB.
  const auto most_heap = [&](int shards) {
    fs::path runs[2];
    for (int r = 0; r < 2; ++r) {
      runs[r] = run(concat("run-", shards, '-', r), {}, {});
      for (int n = 0; n < shards; ++n) {
        SampleRecord record = sample(n, 100, 1, 1);
        record.prompt = record.encoded_prompt = std::string(100'000, char('a' + n % 26));
        add_shard(runs[r], {record});
      }
    }
    size_t most = 0;
    compare_datasets(runs[0], runs[1], *backend_, {.worst = 2, .tell = [&](const char*, size_t, size_t) {
      const struct mallinfo2 heap = mallinfo2();
      most = std::max(most, heap.uordblks + heap.hblkhd);
    }});
    return most;
  };
  const size_t of_few = most_heap(20);
  EXPECT_LT(most_heap(60), of_few + 1'000'000) << "40 shards more, of 0.4 MB a sample in both runs";
}

TEST_F(CompareDatasets, ReadsTheMp4FilesWhereTheShardsHoldNoPixels) {
  SampleRecord without = sample(1, 100, 1, 1);
  const auto a = run("a", {without}, {}), b = run("b", {without}, {});
  without.pixels.reset();
  fs::remove_all(b / "shards");
  fs::create_directories(b / "shards");
  ShardFile shard(b / "shards" / "x.tmp", run_fingerprint, "{}");
  shard.append(without);
  shard.seal(b / "shards");
  const auto c = compared(a, b);
  EXPECT_FALSE(c.pixels_kept);
  EXPECT_EQ(samples_[0].mean_psnr, 100) << "both from MP4, which are equal";
}

TEST_F(CompareDatasets, RefusesRunsThatAreNotOfOneManifest) {
  SampleRecord other = sample(1, 100, 1, 1), larger = sample(1, 100, 1, 1);
  other.prompt = "a cat";
  const auto a = run("a", {sample(1, 100, 2, 1)}, {});
  EXPECT_THAT([&] { compared(a, run("b", {other}, {})); }, ThrowsMessage<Error>(HasSubstr("its prompt is")));
  EXPECT_THAT([&] { compared(a, run("c", {sample(5, 100, 1, 1)}, {})); }, ThrowsMessage<Error>(HasSubstr("no sample was made both in")));
  EXPECT_THAT([&] { compared(a, folder_.path() / "none"); }, ThrowsMessage<Error>(HasSubstr("holds no run.json")));
  larger.height = 18;
  EXPECT_THAT([&] { compared(a, run("d", {larger}, {})); }, ThrowsMessage<Error>(HasSubstr("its height is 16")));
}

TEST_F(CompareDatasets, TellsItInATableInJsonAndOnAPage) {
  SampleRecord first = sample(1, 100, 2, 1), second = sample(1, 151, 1, 3);
  first.prompt = second.prompt = "a <script>alert(1)</script> & more";
  const auto c = compared(run("a", {first}, {{"steps", 30}}), run("b", {second}, {{"steps", 20}}));
  EXPECT_THAT(comparison_table(c), testing::AllOf(HasSubstr("PSNR (dB)                    13.9794"), HasSubstr("steps                30 -> 20"),
                                                  HasSubstr("LPIPS was not computed"), HasSubstr("2.000")));
  const Json json = written(c);
  EXPECT_NEAR(json["mean"]["psnr"].get<double>(), 13.9794, 1e-4);
  EXPECT_TRUE(json["mean"]["lpips"].is_null());
  EXPECT_EQ(json["speed_up"]["denoising"], 2);
  EXPECT_EQ(json["samples"][0]["steps"].size(), 3u);
  const std::string page = comparison_page(c, 5);
  EXPECT_THAT(page, HasSubstr("a &lt;script&gt;alert(1)&lt;/script&gt; &amp; more"));
  EXPECT_THAT(page, testing::Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, HasSubstr("data:video/mp4;base64,AAAA"));
}

}  // namespace
}  // namespace pyracast
