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
  request.prompt = "a cat {red}";
  const VideoResult result = generate();
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_THAT(result.reason, HasSubstr("not JSON"));
}

/// A request whose references are pictures that are one colour each: the number in their names.
struct OpenSoraReferences : OpenSoraTest {
  int read = 0, length = 17;   ///< of a video
  size_t pixels = 0;           ///< of the reference that was read last
  std::string contents = "as it was";
  std::function<float(const std::string& file, int frame)> level_of = [](const std::string& file, int) { return float(std::stoi(file)) / 255; };

  void SetUp() override {
    request.frames = 17;
    run.read_reference = [this](const std::string& file, const VideoRequest& of, const WantedFrames& wanted) {
      ++read;
      Reference reference{file.ends_with(".mp4") ? length : 1, {}, contents};
      const std::vector<bool> taken = wanted(reference.frames, reference.sha256);
      for (size_t frame = 0; frame < taken.size(); ++frame)
        if (taken[frame]) reference.pixels.insert(reference.pixels.end(), size_t(of.height * of.width * 3), level_of(file, int(frame)));
      pixels = reference.pixels.size();
      return reference;
    };
  }
  /// Of the last clip, [channels][time][positions].
  std::vector<float> latent_frame(const VideoResult& result, int64_t frame) const {
    const int64_t channels = result.latent_shape[0], frames = result.latent_shape[1], positions = result.latent_shape[2] * result.latent_shape[3];
    std::vector<float> values;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < positions; ++p) values.push_back(result.latents[size_t((c * frames + frame) * positions + p)]);
    return values;
  }
};

TEST_F(OpenSoraReferences, AreWhatTheVideoKeepsAtTheirFrames) {
  request.reference_path = "200;40.mp4";
  request.mask_strategy = "0;0,1,0,5,2";   // five latent frames are all of 17 frames: the second row would be outside
  EXPECT_THAT(model->refusal(request).value_or(""), HasSubstr("latent frame 5: a clip of 17 frames has at most 5"));
  request.frames = 34;
  ASSERT_EQ(model->refusal(request), std::nullopt);
  const VideoResult result = generate();
  ASSERT_EQ(result.outcome, Outcome::going_on) << result.reason;
  EXPECT_EQ(read, 2);
  EXPECT_THAT(result.reference_sha256, testing::ElementsAre("as it was", "as it was"));
  const auto level = [&](int frame) {
    double sum = 0;
    for (size_t i = 0; i < result.video.frame_bytes(); ++i) sum += result.video.rgb[size_t(frame) * result.video.frame_bytes() + i];
    return sum / double(result.video.frame_bytes());
  };
  EXPECT_NEAR(level(0), 200, 40);
  EXPECT_NEAR(level(17), 40, 40);
  // Frames that may not change at all keep the bits of what was encoded, whatever the steps and the rest of the video.
  request.steps = 5;
  request.prompt = "a dog";
  const VideoResult other = generate();
  for (const int64_t frame : {0, 5, 6}) EXPECT_EQ(latent_frame(result, frame), latent_frame(other, frame)) << frame;
  EXPECT_NE(latent_frame(result, 1), latent_frame(other, 1));
}

TEST_F(OpenSoraReferences, InThePromptAreThoseOfTheRow) {
  request.reference_path = "200";
  request.mask_strategy = "0,0,0,0,1,0.3";
  const VideoResult by_row = generate();
  request.prompt += R"( {"reference_path": "200", "mask_strategy": "0,0,0,0,1,0.3"})";
  request.reference_path = request.mask_strategy = "";
  const VideoResult by_prompt = generate();
  ASSERT_EQ(by_row.outcome, Outcome::going_on) << by_row.reason;
  EXPECT_EQ(by_row.video.rgb, by_prompt.video.rgb);
  EXPECT_EQ(by_row.encoded_prompt, by_prompt.encoded_prompt);
}

TEST_F(OpenSoraReferences, GoBesideTheClipThatIsContinued) {
  request.clips = 2;
  request.frames = 34;
  request.mask_strategy = "0;1,0,0,5";
  request.reference_path = "200";
  const VideoResult result = generate();
  ASSERT_EQ(result.outcome, Outcome::going_on) << result.reason;
  EXPECT_EQ(result.video.frames, 34 + 17);
  const std::vector<float> of_picture = latent_frame(result, 5);
  request.clips = 1;
  request.mask_strategy = "0";
  EXPECT_EQ(of_picture, latent_frame(generate(), 0));
}

TEST_F(OpenSoraReferences, AreEncodedOnceForAllSamplesOfARow) {
  request.reference_path = "200;40.mp4";
  request.mask_strategy = "0;0,1,0,5,2";
  request.frames = 34;
  const auto pipeline = model->open(*backend, {}, alone);
  const auto made = [&](VideoPipeline& by, uint32_t sample) {
    PhiloxNoise own(42, "a", sample);
    VideoRun again{own};
    again.read_reference = run.read_reference;
    return by.generate(request, again).latents;
  };
  const std::vector<float> first = made(*pipeline, 0);
  EXPECT_GT(pixels, 0u);
  const std::vector<float> second = made(*pipeline, 1);
  EXPECT_EQ(pixels, 0u);   // of neither a frame was wanted
  EXPECT_NE(second, first);
  EXPECT_EQ(second, made(*model->open(*backend, {}, alone), 1));
  EXPECT_GT(pixels, 0u);
  contents = "changed";
  made(*pipeline, 1);
  EXPECT_GT(pixels, 0u);
  // One file twice is two references, of which each may know other chunks.
  length = 34;
  level_of = [](const std::string&, int frame) { return float(frame) / 34; };
  request.reference_path = "0.mp4;0.mp4";
  request.mask_strategy = "0;0,1,5,5,5";
  EXPECT_EQ(made(*pipeline, 1), made(*model->open(*backend, {}, alone), 1));
  request.mask_strategy = "0,0,5,5,5;0,1,0,0,5;0,1,5,5,5";
  EXPECT_EQ(made(*pipeline, 1), made(*model->open(*backend, {}, alone), 1));
}

TEST_F(OpenSoraReferences, AreReadAndEncodedWhereTheyAreTakenFromHoweverLongTheyAre) {
  length = 190;   // eleven chunks of 17 frames and one of three: 56 latent frames
  level_of = [](const std::string&, int frame) { return float(frame) / 255; };
  request.reference_path = "0.mp4";
  request.mask_strategy = "0,0,-6,0,5";   // from 50 on
  const VideoResult from_the_end = generate();
  ASSERT_EQ(from_the_end.outcome, Outcome::going_on) << from_the_end.reason;
  EXPECT_EQ(pixels, size_t(17 * 16 * 16 * 3));
  request.mask_strategy = "0,0,50,0,5";
  const VideoResult from_the_start = generate();
  EXPECT_EQ(from_the_start.latents, from_the_end.latents);
  request.mask_strategy = "0,0,0,0,5";
  EXPECT_NE(generate().latents, from_the_start.latents);
}

TEST_F(OpenSoraReferences, WithNoiseOfPyTorchGoOnWithTheSameNumbers) {
  struct Kept : ProgressKeeper {
    std::vector<VideoProgress> all;
    bool is_due(int, double, double) const override { return true; }
    double seconds_to_save(int64_t) const override { return 0; }
    void save(const VideoProgress& saved, const StoredOutputs&) noexcept override { all.push_back(saved); }
  } kept;
  request.frames = 34;
  request.clips = 2;
  request.steps = 3;
  request.reference_path = "200;40.mp4";
  request.mask_strategy = "0,0,0,0,1,0.5;1,1,0,5,5,0.4";
  const auto generate_with = [&](ProgressKeeper* keeper, const VideoProgress* continued) {
    TorchNoise torch(7, DType::float32, request.steps);
    VideoRun own{torch};
    own.read_reference = run.read_reference;
    own.keeper = keeper;
    own.continued = continued;
    return model->open(*backend, {}, alone)->generate(request, own);
  };
  const VideoResult whole = generate_with(&kept, nullptr);
  ASSERT_EQ(whole.outcome, Outcome::going_on) << whole.reason;
  ASSERT_GE(kept.all.size(), 4u);
  for (const VideoProgress& progress : kept.all)
    EXPECT_EQ(generate_with(nullptr, &progress).latents, whole.latents) << "from clip " << progress.clip << ", evaluation " << progress.evaluations;
}

TEST_F(OpenSoraReferences, ThatDoNotFitAreAFailure) {
  request.reference_path = "200";
  request.mask_strategy = "0,0,5";
  EXPECT_THAT(generate().reason, HasSubstr("copies frame 5 of a reference of 1 latent frames"));
  request.mask_strategy = "0";
  run.read_reference = [](auto&&...) -> Reference { throw Error("a reference cannot be read: it is gone"); };
  const VideoResult gone = generate();
  EXPECT_EQ(gone.outcome, Outcome::failed);
  EXPECT_EQ(gone.reason, "a reference cannot be read: it is gone");
  run.read_reference = nullptr;
  EXPECT_THAT(generate().reason, HasSubstr("cannot be read by this job"));
}

TEST_F(OpenSoraReferences, ThatHaveChangedBeginTheirVideoAnew) {
  struct Kept : ProgressKeeper {
    std::optional<VideoProgress> progress;
    bool is_due(int, double, double) const override { return true; }
    double seconds_to_save(int64_t) const override { return 0; }
    void save(const VideoProgress& saved, const StoredOutputs&) noexcept override { progress = saved; }
  } kept;
  request.reference_path = "200";
  request.mask_strategy = "0";
  request.steps = 4;
  run.keeper = &kept;
  const VideoResult whole = generate();
  ASSERT_TRUE(kept.progress);
  run.keeper = nullptr;
  kept.progress->result.continuations = 1;
  run.continued = &*kept.progress;
  const VideoResult continued = generate();
  EXPECT_EQ(continued.continuations, 1);
  EXPECT_EQ(continued.latents, whole.latents);
  contents = "changed";
  const VideoResult anew = generate();
  EXPECT_EQ(anew.continuations, 0);
  EXPECT_EQ(anew.evaluations.size(), 4u);
  EXPECT_EQ(anew.latents, whole.latents);
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
