#include <gtest/gtest.h>

#include "../dataset/samples.hpp"
#include "dataset/clip_hash.hpp"
#include "dataset/mp4.hpp"
#include "dataset/shard_file.hpp"
#include "report/broadcast_map.hpp"
#include "report/dataset_card.hpp"
#include "report/dataset_page.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::ThrowsMessage;
namespace fs = std::filesystem;

class DatasetReport : public RunFolder {
 protected:
  /// A video of 10 * n seconds on `host`, in four evaluations; the second and third reuse the spatial attention.
  static SampleRecord made(int n, const std::string& host, int64_t attempt = 0) {
    SampleRecord record = small_sample(n);
    record.host = host;
    record.team = n % 2;
    record.attempt = attempt;
    record.steps = 4;
    record.started = 1000.0 * double(attempt + 1);
    record.ended = record.started + 10 * (n + 1);
    record.text_seconds = 1, record.decode_seconds = 2, record.encode_seconds = 3, record.write_seconds = 4;
    record.quality_flags = "";
    for (int step = 0; step < 4; ++step) {
      const int64_t spatial = step == 1 || step == 2 ? 0 : 4;
      record.step_seconds.push_back({float(spatial) / 4, 0.5f, 0, 1, 0.25f, 0});
      record.step_counts.push_back({spatial, 4, 4, 4, 4, 4, 8, 100, step == 1 ? 40 : 0, 5, 0, 8, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0});
    }
    return record;
  }
  /// The video's file as well, a real one.
  void put_mp4(const SampleRecord& record) const {
    fs::create_directories((output_ / record.video).parent_path());
    write_mp4(output_ / record.video, small_video(), {}, 18);
  }
  fs::path put_made(const std::vector<SampleRecord>& records) const {
    const auto path = put_shard(records);
    for (const auto& record : records)
      if (!record.video.empty()) put_mp4(record);
    return path;
  }
  DatasetSummary summary(size_t clips = 100) const { return summarize_dataset(output_, clips, clips); }
};

TEST_F(DatasetReport, AddsUpWhatTheSamplesTell) {
  SampleRecord failed = failed_sample(3), again = failed_sample(4);
  again.reason = "latents are not finite after step 17";
  put_made({made(0, "a"), made(1, "b"), failed});
  put_made({made(2, "b", 1), again});
  const DatasetSummary s = summary();
  EXPECT_EQ(s.done, 3);
  EXPECT_EQ(s.failed, 2);
  EXPECT_THAT(s.problems, IsEmpty());
  EXPECT_TRUE(s.run.is_null());
  EXPECT_FALSE(s.asked_for);
  EXPECT_EQ(s.attempts.at(0).done, 2);
  EXPECT_EQ(s.attempts.at(1).done, 1);
  ASSERT_THAT(s.failures, SizeIs(1));
  EXPECT_EQ(s.failures.begin()->first, "latents are not finite after step N");
  EXPECT_EQ(s.failures.begin()->second.samples, 2);
  EXPECT_EQ(s.stages.decoding, 6);
  EXPECT_DOUBLE_EQ(s.stages.denoising, 3 * (2 + 2 + 4 + 1));
  EXPECT_EQ(s.communication.bytes_sent, 3 * 400);
  EXPECT_EQ(s.communication.bytes_avoided, 3 * 40);
  EXPECT_EQ(s.communication.gather_bytes, 3 * 20);
  EXPECT_EQ(s.communication.all_to_alls[size_t(Branch::temporal_attention)], 3 * 32);
  EXPECT_EQ(s.communication.bytes[size_t(Branch::temporal_attention)], 3 * 400);
  EXPECT_EQ(s.attentions, 3 * 4 * 16);
  EXPECT_EQ(s.attentions_reused, 3 * 8);
  EXPECT_DOUBLE_EQ(s.video_seconds, 3 * 3 / 8.0);
  EXPECT_TRUE(std::is_sorted(s.ends.begin(), s.ends.end()));
  EXPECT_THAT(s.ends, SizeIs(5));
}

TEST_F(DatasetReport, NamesTheSlowestNodeFirstWhateverItsShareOfTheWork) {
  SampleRecord larger = made(4, "a");
  larger.height = 320;
  larger.ended = larger.started + 500;   // much, but no other node has made such a video
  put_made({made(0, "a"), made(1, "b"), made(2, "b"), larger});
  const DatasetSummary s = summary();
  ASSERT_THAT(s.nodes, SizeIs(2));
  EXPECT_EQ(s.nodes[0].host, "b");
  EXPECT_DOUBLE_EQ(s.nodes[0].relative_time(), 50.0 / 40);
  EXPECT_DOUBLE_EQ(s.nodes[1].relative_time(), 510.0 / 520);
  EXPECT_EQ(s.nodes[0].teams, 2);
}

TEST_F(DatasetReport, KnowsWhatWasComputedAtEachEvaluation) {
  SampleRecord shorter = made(1, "a");
  shorter.step_seconds.resize(2);
  shorter.step_counts.resize(2);
  put_made({made(0, "a"), shorter, made(2, "a")});
  const DatasetSummary s = summary();
  ASSERT_THAT(s.by_evaluations, SizeIs(2));
  const StepTotals& steps = s.by_evaluations.at(4);
  EXPECT_EQ(steps.samples, 2);
  EXPECT_EQ(steps.computed_share(0, Branch::spatial_attention), 1);
  EXPECT_EQ(steps.computed_share(1, Branch::spatial_attention), 0);
  EXPECT_EQ(steps.computed_share(2, Branch::temporal_attention), 1);
  EXPECT_EQ(steps.bytes_avoided, (std::vector<int64_t>{0, 80, 0, 0}));
}

TEST_F(DatasetReport, ReadsTheJournalsOfAJobThatDiedAndCountsNoSampleTwice) {
  put_made({made(0, "a"), made(1, "a")});
  for (int n : {1, 2, 3}) put_mp4(made(n, "a"));
  put_journal("team-0.journal", {made(1, "a"), made(2, "a")});
  const auto torn = put_journal("team-1.journal", {made(3, "a"), made(4, "a")});
  for (int n : {1, 2, 3}) put_mp4(made(n, "a"));
  cut(torn, fs::file_size(torn) - 10);
  const DatasetSummary s = summary();
  EXPECT_EQ(s.done, 4);
  EXPECT_EQ(s.in_journals, 2);
  EXPECT_THAT(s.problems, IsEmpty());
}

TEST_F(DatasetReport, TellsWhatIsBrokenAndShowsTheRest) {
  put_made({made(0, "a"), made(1, "a")});
  const auto broken = put_made({made(2, "a")});
  cut(broken, 1000);
  fs::remove(output_ / made(0, "a").video);
  const DatasetSummary s = summary();
  EXPECT_EQ(s.done, 2);
  EXPECT_THAT(s.problems, ElementsAre(HasSubstr(broken.filename().string()), HasSubstr("1 video is not there")));
  EXPECT_THAT(dataset_page(s), AllOf(HasSubstr(broken.filename().string()), HasSubstr("sample-0.mp4: opening failed"),
                                     HasSubstr("data:image/jpeg;base64,/9j/")));
}

TEST_F(DatasetReport, RefusesWhatIsNoDataset) {
  EXPECT_THAT([&] { summarize_dataset(output_ / "none", 1, 1); },
              ThrowsMessage<Error>(HasSubstr("holds neither shards/ nor journal/")));
}

TEST_F(DatasetReport, OfNothingIsAPageAllTheSame) {
  EXPECT_THAT(dataset_page(summary()), HasSubstr("<h2>Failures by class</h2>"));
  EXPECT_THAT(dataset_card(summary()), HasSubstr("| videos | 0, 0 failed |"));
}

TEST_F(DatasetReport, ChoosesTheSameClipsWhateverShardTheyAreIn) {
  const auto ids = [&] {
    std::vector<std::string> ids;
    for (const SampleRecord& row : summary(3).clips) ids.push_back(row.id);
    return ids;
  };
  for (int n = 0; n < 8; n += 2) put_made({made(n, "a"), made(n + 1, "a")});
  const auto chosen = ids();
  EXPECT_THAT(chosen, SizeIs(3));
  fs::remove_all(layout_.shards());
  fs::create_directories(layout_.shards());
  for (int n = 7; n >= 0; --n) put_made({made(n, "b")});
  EXPECT_EQ(ids(), chosen);
}

TEST_F(DatasetReport, PageShowsFlaggedAndAlikeVideosAndNothingOfAPromptsMarkup) {
  SampleRecord black = made(0, "a"), other = made(1, "<node>");
  black.quality_flags = "black,frozen";
  black.prompt = "<script>alert(1)</script>";
  black.perceptual_hash = other.perceptual_hash = to_text(ClipHash{});
  put_made({black, other, failed_sample(2)});
  derive(output_, {{"configuration", {{"model", "a model"}}}});
  const DatasetSummary s = summary();
  EXPECT_EQ(s.with_flag.at("black"), 1);
  EXPECT_EQ(s.alike, 2);
  const std::string page = dataset_page(s);
  EXPECT_THAT(page, AllOf(HasSubstr("&lt;script&gt;alert(1)"), Not(HasSubstr("<script>")), HasSubstr("&lt;node&gt;"),
                          HasSubstr("<span class=\"flag\">black</span><span class=\"flag\">frozen</span>"),
                          HasSubstr("2 videos look nearly like another one, in 1 group"),
                          HasSubstr("latents are not finite after step N"), HasSubstr("model a model")));
}

TEST_F(DatasetReport, MapHasACellForEachBranchAndEvaluation) {
  put_made({made(0, "a")});
  const std::string map = broadcast_map_svg(summary().by_evaluations.at(4));
  const auto count = [&](const std::string& part) {
    size_t count = 0;
    for (size_t at = map.find(part); at != std::string::npos; at = map.find(part, at + 1)) ++count;
    return count;
  };
  EXPECT_EQ(count("class=\"reused\""), 6u * 4);
  EXPECT_EQ(count("class=\"computed\""), 6u * 4 - 2);
  EXPECT_THAT(map, HasSubstr("50.0 % computed"));
}

TEST_F(DatasetReport, PageShowsWhatAuditsHaveFoundTheWorstFirst) {
  put_made({made(0, "a")});
  EXPECT_THAT(dataset_page(summary()), Not(HasSubstr("Audit: what reuse has changed"))) << "nothing was audited";
  SampleRecord good = made(1, "a"), bad = made(2, "a");
  good.audit = int64_t(SampleAudit::within), good.audit_psnr = 41.25, good.audit_ssim = 0.99;
  bad.audit = int64_t(SampleAudit::beyond), bad.audit_psnr = 17.5, bad.audit_ssim = 0.25, bad.audit_mse = 0.125;
  bad.audit_seconds = 3;   // of 10 and 20 and 30 seconds
  put_made({good, bad});
  const std::string page = dataset_page(summary());
  EXPECT_THAT(page, AllOf(HasSubstr("audited of 3 videos"), HasSubstr("<b>41.25 dB</b><span class=\"soft\">PSNR, median"),
                          HasSubstr("<b>17.50 dB</b><span class=\"soft\">PSNR, worst"), HasSubstr("<b>5.00 %</b>")));
  EXPECT_LT(
      page.find(bad.id +
                "</td><td class=\"number\">17.50</td><td class=\"number\">0.2500</td><td class=\"number\">0.12500</td><td>beyond the bound</td>"),
      page.find(good.id + "</td><td class=\"number\">41.25"));
  EXPECT_DOUBLE_EQ(summary().nodes.at(0).seconds, 57) << "seconds of audits are not those of videos";
}

TEST_F(DatasetReport, CardSaysWhatIsInTheSetAndHowItWasMade) {
  put_made({made(0, "a"), made(1, "a"), failed_sample(2)});
  derive(output_, {{"configuration", {{"model", "opensora-1.2"}, {"prompts", "/secret/prompts.jsonl"}, {"seed", 42}}},
                   {"fingerprint", run_fingerprint},
                   {"content", {{"broadcast", {{"spatial_range", 2}}}, {"snapshot", {{"vae", {{"model.safetensors", "abc"}}}}}}}});
  const std::string card = dataset_card(summary());
  EXPECT_EQ(card.substr(0, 4), "---\n");
  EXPECT_THAT(card, AllOf(HasSubstr("license: unknown\n"), HasSubstr("size_categories:\n- n<1K\n"), HasSubstr(card_mark),
                          HasSubstr("| videos | 2, 1 failed |"), HasSubstr("| size | 16 x 32 pixels, 3 frames |"),
                          HasSubstr("`load_dataset` of this folder"), HasSubstr("\"spatial_range\": 2"),
                          HasSubstr("- `vae/model.safetensors` abc"), HasSubstr(run_fingerprint),
                          Not(HasSubstr("/secret"))));
}

}  // namespace
}  // namespace pyracast
