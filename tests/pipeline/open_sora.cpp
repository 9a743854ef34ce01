#include "pipeline/open_sora.hpp"

#include <cmath>

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;

struct OpenSoraTest : testing::Test {
  std::unique_ptr<Backend> backend = make_cpu_backend();
  TeamChannels alone = lone_channels();
  OpenSoraRequest request{.prompt = "a cat", .height = 16, .width = 16, .frames = 1, .steps = 2, .guidance = 3};
  PhiloxNoise noise{42, "a", 0};
  OpenSoraRun run{noise};

  OpenSoraParts parts() const { return open_snapshot(find_snapshot(DEMO_SNAPSHOT, {}), *backend, {}); }
  /// A part of the demo model whose tensor `name` is NaN.
  template <class Network, class Config>
  Network broken(const char* part, const std::string& name) const {
    const auto folder = std::filesystem::path(DEMO_SNAPSHOT) / part;
    StoredTensors tensors = read_weights(folder);
    const Shape shape = tensors.at(name).shape;
    tensors.insert_or_assign(name, stored(DType::float32, shape, std::vector<float>(size_t(size_of(shape)), NAN)));
    return Network(Weights(*backend, tensors, {}, part), Config::from_json(read_json(folder / "config.json"), part));
  }
  OpenSoraResult generate(OpenSoraParts made) { return OpenSora(std::move(made), *backend, DType::float32, alone).generate(request, run); }
};

TEST_F(OpenSoraTest, MakesAVideoAndTheSameOneAgain) {
  OpenSora pipeline(parts(), *backend, DType::float32, alone);
  const OpenSoraResult first = pipeline.generate(request, run), second = pipeline.generate(request, run);
  EXPECT_EQ(first.outcome, Outcome::going_on) << first.reason;
  EXPECT_EQ(first.video.rgb.size(), size_t(16 * 16 * 3));
  EXPECT_EQ(first.evaluations.size(), 2u);
  EXPECT_EQ(first.video.rgb, second.video.rgb);
  EXPECT_EQ(first.latents, second.latents);
}

TEST_F(OpenSoraTest, LatentsThatAreNotFiniteAreAFailureWithItsReason) {
  OpenSoraParts made = parts();
  made.transformer = broken<Stdit3, Stdit3Config>("transformer", "final_layer.linear.bias");
  const OpenSoraResult result = generate(std::move(made));
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_EQ(result.reason, "the latents are not finite after step 1 of 2");
  EXPECT_TRUE(result.video.rgb.empty());
}

TEST_F(OpenSoraTest, PixelsThatAreNotFiniteAreAFailureWithItsReason) {
  OpenSoraParts made = parts();
  made.vae = broken<OpenSoraVae, OpenSoraVaeConfig>("vae", "spatial_vae.module.decoder.conv_out.bias");
  const OpenSoraResult result = generate(std::move(made));
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_EQ(result.reason, "the decoded pixels are not finite");
}

TEST_F(OpenSoraTest, StopsWhereTheTeamSaysSo) {
  int asked = 0;
  run.agree = [&](Outcome own) { return ++asked == 2 ? Outcome::stopped : own; };   // after the first evaluation
  const OpenSoraResult result = generate(parts());
  EXPECT_EQ(result.outcome, Outcome::stopped);
  EXPECT_EQ(result.evaluations.size(), 1u);
  EXPECT_TRUE(result.video.rgb.empty());
}

TEST_F(OpenSoraTest, FailsWhereAnotherRankFails) {
  run.agree = [](Outcome) { return Outcome::failed; };
  EXPECT_EQ(generate(parts()).outcome, Outcome::failed);
}

TEST_F(OpenSoraTest, ABadPromptIsAFailure) {
  request.prompt = R"(a cat {"reference_path": "a.png"})";
  const OpenSoraResult result = generate(parts());
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_THAT(result.reason, HasSubstr("reference"));
}

TEST_F(OpenSoraTest, RefusesSizesThatMakeNoVideo) {
  EXPECT_EQ(OpenSora::refusal(request), std::nullopt);
  const auto refused = [&](auto change) {
    OpenSoraRequest bad = request;
    change(bad);
    return OpenSora::refusal(bad).value_or("accepted");
  };
  EXPECT_THAT(refused([](auto& r) { r.height = 7; }), HasSubstr("at least 8"));
  EXPECT_THAT(refused([](auto& r) { r.width = 8193; }), HasSubstr("at most 8192"));
  EXPECT_THAT(refused([](auto& r) { r.frames = 0; }), HasSubstr("0 frames"));
  EXPECT_THAT(refused([](auto& r) { r.steps = 0; }), HasSubstr("steps"));
  EXPECT_THAT(refused([](auto& r) { r.clips = 0; }), HasSubstr("clips"));
  EXPECT_THAT(refused([](auto& r) { r.fps = 0; }), HasSubstr("frames a second"));
  EXPECT_THAT(refused([](auto& r) { r.fps = NAN; }), HasSubstr("frames a second"));
  EXPECT_THAT(refused([](auto& r) { r.clips = 2; r.condition_latents = 3; }), HasSubstr("multiple of 5"));
}

}  // namespace
}  // namespace pyracast
