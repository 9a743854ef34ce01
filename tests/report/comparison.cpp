#include "report/comparison.hpp"

#include <gtest/gtest.h>

#include "../dataset/samples.hpp"
#include "dataset/mp4.hpp"
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
    fs::create_directories(output / "shards");
    ShardFile shard(output / "shards" / "x.tmp", run_fingerprint, "{}");
    for (const SampleRecord& record : samples) {
      shard.append(record);
      if (!record.pixels) continue;
      fs::create_directories((output / record.video).parent_path());
      write_mp4(output / record.video, *record.pixels, {}, 18);
    }
    shard.seal(output / "shards");
    write_atomically(output / "run.json", Json{{"configuration", configuration}}.dump());
    return output;
  }
  DatasetComparison compared(const fs::path& a, const fs::path& b) const { return compare_datasets(a, b, nullptr, *backend_); }
};

TEST_F(CompareDatasets, MatchesSamplesAndSaysHowAlikeTheyAreAndWhatTheyCost) {
  const auto a = run("a", {sample(1, 100, 2, 1), sample(2, 100, 2, 1), failed_sample(3)}, {{"steps", 30}, {"broadcast", ""}, {"output", "a"}});
  const auto b = run("b", {sample(2, 151, 1, 3), sample(1, 100, 1, 1), sample(4, 0, 1, 1)}, {{"steps", 30}, {"broadcast", "x.json"}, {"output", "b"}});
  const DatasetComparison c = compared(a, b);
  ASSERT_EQ(c.samples.size(), 2u);
  EXPECT_EQ(c.samples[0].id, "sample-1");
  EXPECT_EQ(c.samples[0].mean_psnr, 100);
  EXPECT_NEAR(c.samples[1].mean_psnr, -20 * std::log10(51 / 255.0), 1e-4);
  EXPECT_LT(*c.samples[1].mean_ssim, 1);
  EXPECT_FALSE(c.samples[1].mean_lpips);
  EXPECT_THAT(c.only_in[0], ElementsAre("sample-3 0"));
  EXPECT_THAT(c.only_in[1], ElementsAre("sample-4 0"));
  EXPECT_THAT(c.failed[0], ElementsAre("sample-3 0"));
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
  ASSERT_EQ(c.samples[0].steps.size(), 3u);
  EXPECT_EQ(c.samples[0].steps[0].drift, 0);
  EXPECT_EQ(c.samples[0].steps[1].drift, 2);   // 3 against 1
  EXPECT_EQ(c.samples[0].steps[2].seconds[1], 1);
  EXPECT_EQ(c.samples[0].latents_drift, 2);
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
  EXPECT_EQ(c.samples[0].mean_psnr, 100) << "both from MP4, which are equal";
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
  const Json json = comparison_json(c);
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
