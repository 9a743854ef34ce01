// Latte and Open-Sora-Plan from tiny snapshots: what they refuse, and that teams give one rank's bits.
#include <gmock/gmock.h>

#include "diffusion/sampler.hpp"
#include "tests/models/tiny_snapshots.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const BroadcastPolicy& reuse_of_attention() {
  static const BroadcastPolicy policy({{"spatial_broadcast", true}, {"spatial_threshold", {50, 950}}, {"spatial_range", 2},
                                       {"temporal_broadcast", true}, {"temporal_threshold", {50, 950}}, {"temporal_range", 3},
                                       {"cross_broadcast", true}, {"cross_threshold", {50, 950}}, {"cross_range", 4}}, "test");
  return policy;
}

/// A snapshot of each family, written once.
class TinyModel {
 public:
  explicit TinyModel(const std::string& family, const std::string& sampler = "") {
    static const TemporaryFolder folder;
    const fs::path snapshot = folder / family;
    if (!fs::exists(snapshot)) write_tiny_snapshot(family, snapshot, DEMO_SNAPSHOT);
    model_ = find_model({family, snapshot, {}, sampler});
  }
  const VideoModel& operator*() const { return *model_; }
  const VideoModel* operator->() const { return model_.get(); }
  VideoRequest request() const {
    const VideoDefaults& d = model_->defaults();
    return {.prompt = "A red circle, moving left.", .negative_prompt = "blurry", .height = d.height, .width = d.width, .frames = d.frames,
            .fps = d.fps, .steps = 6, .guidance = d.guidance};
  }

 private:
  std::unique_ptr<VideoModel> model_;
};

VideoResult alone(const VideoModel& model, const VideoRequest& request, const BroadcastPolicy& policy = {}) {
  return made_by(model, 1, false, request, policy).front();
}

struct OfFamily : testing::TestWithParam<const char*> {};

TEST_P(OfFamily, MakesTheVideoOfItsDefaultSizeAndAnImage) {
  const TinyModel model(GetParam());
  VideoRequest request = model.request();
  for (const int64_t frames : {request.frames, int64_t(1)}) {
    request.frames = frames;
    ASSERT_EQ(model->refusal(request), std::nullopt);
    const VideoResult result = alone(*model, request);
    ASSERT_EQ(result.outcome, Outcome::going_on) << result.reason;
    EXPECT_EQ(result.video.frames, frames);
    EXPECT_EQ(result.video.rgb.size(), size_t(frames * request.height * request.width * 3));
    EXPECT_EQ(result.encoded_prompt, "a red circle, moving left.");
  }
}

TEST_P(OfFamily, LeadsAwayFromTheNegativePromptOnlyWhereThereIsGuidance) {
  const TinyModel model(GetParam());
  VideoRequest one = model.request(), other = one;
  other.negative_prompt = "a blue star";
  EXPECT_NE(alone(*model, one).latents, alone(*model, other).latents);
  one.guidance = other.guidance = 1;
  EXPECT_EQ(alone(*model, one).latents, alone(*model, other).latents);
}

TEST_P(OfFamily, RefusesWhatItCannotMake) {
  const TinyModel model(GetParam());
  const auto refused = [&](auto change) {
    VideoRequest bad = model.request();
    change(bad);
    return model->refusal(bad).value_or("accepted");
  };
  EXPECT_THAT(refused([](auto& r) { r.height = 40; }), HasSubstr("multiples of 16"));
  EXPECT_THAT(refused([](auto& r) { r.frames = 12; }), HasSubstr("12 frames"));
  EXPECT_THAT(refused([](auto& r) { r.clips = 2; }), HasSubstr("only Open-Sora v1.2"));
  EXPECT_THAT(refused([](auto& r) { r.hints.motion = 3; }), HasSubstr("motion score"));
  EXPECT_THAT(refused([](auto& r) { r.steps = 0; }), HasSubstr("steps"));
  EXPECT_THAT(error_of([&] { model->size_of("480p", "9:16"); }), HasSubstr("height and width"));
}

TEST_P(OfFamily, TakesEverySamplerOfNoise) {
  for (const std::string& name : sampler_names()) {
    const TinyModel model(GetParam(), name);
    const VideoResult result = alone(*model, model.request(), reuse_of_attention());
    EXPECT_EQ(result.outcome, Outcome::going_on) << name << ": " << result.reason;
  }
  EXPECT_THAT(error_of([&] { TinyModel(GetParam(), "dpm"); }), HasSubstr("dpm-solver"));
}

TEST_P(OfFamily, OnATeamGivesTheBitsOfOneRankAndSendsWhatWasPlanned) {
  const TinyModel model(GetParam());
  for (const TestTeam& team : {TestTeam{"", 2, false}, {"", 3, false}, {"", 4, false}, {"", 8, false}, {"", 2, true}, {"", 6, true},
                               {"", 2, false, true}, {"", 3, false, true}, {"", 8, false, true}}) {
    SCOPED_TRACE(concat(team.ranks, " ranks", team.cfg_parallel ? " in halves" : "", team.in_turns ? " in turns" : ""));
    for (const BroadcastPolicy& policy : {BroadcastPolicy(), reuse_of_attention()})
      expect_the_video_of_one_rank(*model, team, model.request(), policy);
    expect_what_was_planned(*model, team, model.request(), reuse_of_attention());
  }
}

TEST_P(OfFamily, OnATeamThatSharesGuidanceOneHalfIsEnoughWithoutGuidance) {
  const TinyModel model(GetParam());
  VideoRequest request = model.request();
  request.guidance = 1;
  expect_the_video_of_one_rank(*model, {"", 4, true}, request, reuse_of_attention());
}

INSTANTIATE_TEST_SUITE_P(, OfFamily, testing::Values("latte-1", "osp-1.1", "osp-1.2"), [](const auto& info) {
  std::string name = info.param;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

TEST(Latte, DecodesWithTheVaeThatIsNamed) {
  const TinyModel temporal("latte-1");
  EXPECT_EQ(temporal->files().vae.filename(), "vae_temporal_decoder");
  SnapshotPaths given;
  given.vae = temporal->files().vae.parent_path() / "vae";
  const auto by_frame = find_model({"latte-1", temporal->files().transformer.parent_path(), given});
  const VideoResult one = alone(*temporal, temporal.request()), other = alone(*by_frame, temporal.request());
  EXPECT_EQ(one.latents, other.latents);
  EXPECT_NE(one.video.rgb, other.video.rgb);
  expect_the_video_of_one_rank(*by_frame, {"", 3, false}, temporal.request(), {});
}

TEST(Latte, TakesEtaWithDdimAlone) {
  const TinyModel ddim("latte-1"), pndm("latte-1", "pndm");
  VideoRequest request = ddim.request();
  const VideoResult without = alone(*ddim, request);
  request.eta = 0.5;
  EXPECT_NE(alone(*ddim, request).latents, without.latents);
  EXPECT_THAT(pndm->refusal(request).value_or("accepted"), HasSubstr("only DDIM"));
}

TEST(OpenSoraPlan, AsksWhichSizeWhereASnapshotHoldsSeveral) {
  const TemporaryFolder folder;
  write_tiny_snapshot("osp-1.1", folder / "snapshot", DEMO_SNAPSHOT);
  fs::copy(folder / "snapshot" / "33x32x32", folder / "snapshot" / "221x512x512");
  EXPECT_THAT(error_of([&] { find_model({"osp-1.1", folder / "snapshot", {}}); }),
              testing::AllOf(HasSubstr("221x512x512"), HasSubstr("33x32x32"), HasSubstr("--transformer")));
  SnapshotPaths given;
  given.transformer = folder / "snapshot" / "33x32x32";
  EXPECT_EQ(find_model({"osp-1.1", folder / "snapshot", given})->defaults().frames, 33);
}

TEST(FindModel, NamesTheFamilies) {
  EXPECT_THAT(error_of([] { find_model({"latte-2", "x", {}}); }), testing::AllOf(HasSubstr("latte-1"), HasSubstr("osp-1.2")));
}

}  // namespace
}  // namespace pyracast
