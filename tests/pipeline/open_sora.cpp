#include "pipeline/video_model.hpp"

#include <cmath>

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;

namespace fs = std::filesystem;

struct OpenSoraTest : testing::Test {
  std::unique_ptr<Backend> backend = make_cpu_backend();
  TeamChannels alone = lone_channels();
  VideoRequest request{.prompt = "a cat", .height = 16, .width = 16, .frames = 1, .steps = 2, .guidance = 3};
  PhiloxNoise noise{42, "a", 0};
  VideoRun run{noise};

  const std::unique_ptr<VideoModel> model = find_model({"opensora-1.2", DEMO_SNAPSHOT, {}});

  VideoResult generate(const VideoModel& made) { return made.open(*backend, {}, alone)->generate(request, run); }
  VideoResult generate() { return generate(*model); }
  /// By the demo model with NaN for the tensor `name` of one part.
  VideoResult generate_broken(fs::path SnapshotPaths::* part, const std::string& name) {
    const TemporaryFolder folder;
    SnapshotPaths files = model->files();
    fs::copy(files.*part, folder / "part", fs::copy_options::recursive);
    StoredTensors tensors = read_weights(files.*part);
    const Shape shape = tensors.at(name).shape;
    tensors.insert_or_assign(name, stored(DType::float32, shape, std::vector<float>(size_t(size_of(shape)), NAN)));
    write_safetensors(folder / "part" / "model.safetensors", tensors);
    SnapshotPaths given;
    given.*part = folder / "part";
    return generate(*find_model({"opensora-1.2", DEMO_SNAPSHOT, given}));
  }
};

TEST_F(OpenSoraTest, MakesAVideoAndTheSameOneAgain) {
  const auto pipeline = model->open(*backend, {}, alone);
  const VideoResult first = pipeline->generate(request, run), second = pipeline->generate(request, run);
  EXPECT_EQ(first.outcome, Outcome::going_on) << first.reason;
  EXPECT_EQ(first.video.rgb.size(), size_t(16 * 16 * 3));
  EXPECT_EQ(first.evaluations.size(), 2u);
  EXPECT_EQ(first.video.rgb, second.video.rgb);
  EXPECT_EQ(first.latents, second.latents);
}

TEST_F(OpenSoraTest, LatentsThatAreNotFiniteAreAFailureWithItsReason) {
  const VideoResult result = generate_broken(&SnapshotPaths::transformer, "final_layer.linear.bias");
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_EQ(result.reason, "the latents are not finite after evaluation 1 of 2");
  EXPECT_TRUE(result.video.rgb.empty());
}

TEST_F(OpenSoraTest, PixelsThatAreNotFiniteAreAFailureWithItsReason) {
  const VideoResult result = generate_broken(&SnapshotPaths::vae, "spatial_vae.module.decoder.conv_out.bias");
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_EQ(result.reason, "the decoded pixels are not finite");
}

TEST_F(OpenSoraTest, StopsWhereTheTeamSaysSo) {
  int asked = 0;
  run.agree = [&](Outcome own) { return ++asked == 2 ? Outcome::stopped : own; };   // after the first evaluation
  const VideoResult result = generate();
  EXPECT_EQ(result.outcome, Outcome::stopped);
  EXPECT_EQ(result.evaluations.size(), 1u);
  EXPECT_TRUE(result.video.rgb.empty());
}

TEST_F(OpenSoraTest, FailsWhereAnotherRankFails) {
  run.agree = [](Outcome) { return Outcome::failed; };
  EXPECT_EQ(generate().outcome, Outcome::failed);
}

TEST_F(OpenSoraTest, ABadPromptIsAFailure) {
  request.prompt = R"(a cat {"reference_path": "a.png"})";
  const VideoResult result = generate();
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_THAT(result.reason, HasSubstr("reference"));
}

TEST_F(OpenSoraTest, RefusesSizesThatMakeNoVideo) {
  EXPECT_EQ(model->refusal(request), std::nullopt);
  const auto refused = [&](auto change) {
    VideoRequest bad = request;
    change(bad);
    return model->refusal(bad).value_or("accepted");
  };
  EXPECT_THAT(refused([](auto& r) { r.height = 7; }), HasSubstr("at least 8"));
  EXPECT_THAT(refused([](auto& r) { r.width = 8193; }), HasSubstr("at most 8192"));
  EXPECT_THAT(refused([](auto& r) { r.frames = 0; }), HasSubstr("0 frames"));
  EXPECT_THAT(refused([](auto& r) { r.steps = 0; }), HasSubstr("steps"));
  EXPECT_THAT(refused([](auto& r) { r.clips = 0; }), HasSubstr("clips"));
  EXPECT_THAT(refused([](auto& r) { r.fps = 0; }), HasSubstr("frames a second"));
  EXPECT_THAT(refused([](auto& r) { r.fps = NAN; }), HasSubstr("frames a second"));
  EXPECT_THAT(refused([](auto& r) { r.negative_prompt = "blurry"; }), HasSubstr("negative prompt"));
  EXPECT_THAT(refused([](auto& r) { r.eta = 0.5; }), HasSubstr("eta"));
  EXPECT_THAT(refused([](auto& r) { r.clips = 2; r.condition_latents = 3; }), HasSubstr("multiple of 5"));
}

}  // namespace
}  // namespace pyracast
