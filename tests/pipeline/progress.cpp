// A video that is left and gone on with, by another team, through a file: the same bits.
#include <gmock/gmock.h>

#include "diffusion/sampler.hpp"
#include "pipeline/progress_file.hpp"
#include "tests/models/tiny_snapshots.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const ProgressLabel label{std::string(64, 'f'), "an id", 3};

const BroadcastPolicy& some_reuse() {
  static const BroadcastPolicy policy({{"spatial_broadcast", true}, {"spatial_threshold", {50, 950}}, {"spatial_range", 2},
                                       {"cross_broadcast", true}, {"cross_threshold", {50, 950}}, {"cross_range", 4}}, "test");
  return policy;
}

/// Saves at every place there is, and remembers all files.
class EveryPlace final : public ProgressKeeper {
 public:
  explicit EveryPlace(fs::path folder) : folder_(std::move(folder)) {}
  std::vector<fs::path> files;
  bool is_due(int, double) const override { return true; }
  void save(const VideoProgress& progress) noexcept override {
    files.push_back(folder_ / concat(progress.result.evaluations.size(), ".safetensors"));
    write_progress(files.back(), label, progress);
  }

 private:
  fs::path folder_;
};

struct Leaving : testing::TestWithParam<std::tuple<const char*, const char*>> {
  const TemporaryFolder folder;
  std::unique_ptr<VideoModel> model() const {
    static const TemporaryFolder snapshots;
    const auto [family, sampler] = GetParam();
    if (std::string(family) == "null") return find_model({family, {}});
    const fs::path snapshot = std::string(family) == "opensora-1.2" ? fs::path(DEMO_SNAPSHOT) : snapshots / family;
    if (!fs::exists(snapshot)) write_tiny_snapshot(family, snapshot, DEMO_SNAPSHOT);
    return find_model({family, snapshot, {}, sampler});
  }
};

void expect_same(const VideoResult& made, const VideoResult& whole) {
  EXPECT_EQ(made.outcome, Outcome::going_on) << made.reason;
  EXPECT_EQ(made.video.rgb, whole.video.rgb);
  EXPECT_EQ(made.video.frames, whole.video.frames);
  EXPECT_EQ(made.latents, whole.latents);
  EXPECT_EQ(made.step_latents, whole.step_latents);
  EXPECT_EQ(made.embedding, whole.embedding);
  EXPECT_EQ(made.encoded_prompt, whole.encoded_prompt);
  ASSERT_EQ(made.evaluations.size(), whole.evaluations.size());
  for (size_t i = 0; i < whole.evaluations.size(); ++i) EXPECT_EQ(made.evaluations[i].computed, whole.evaluations[i].computed) << i;
}

TEST_P(Leaving, AndGoingOnGivesTheSameBitsOnATeam) {
  const auto model = this->model();
  const VideoDefaults& d = model->defaults();
  const bool several_clips = std::string(std::get<0>(GetParam())) == "opensora-1.2";
  const VideoRequest request{.prompt = "A red circle, moving left.", .negative_prompt = d.negative_prompt, .height = d.height, .width = d.width,
                             .frames = d.frames, .fps = d.fps, .steps = 7, .guidance = d.guidance, .clips = several_clips ? 2 : 1};
  for (const BroadcastPolicy& policy : {BroadcastPolicy(), some_reuse()}) {
    if (policy.enabled() && !d.height) continue;
    const auto change = [&](VideoRun& run) { run.keeps_step_latents = true; };
    const VideoResult whole = made_by(*model, 1, false, request, policy, nullptr, change).front();
    EveryPlace keeper(folder.path());
    const VideoResult kept = made_by(*model, 1, false, request, policy, nullptr, [&](VideoRun& run) {
      change(run);
      run.keeper = &keeper;
    }).front();
    expect_same(kept, whole);
    ASSERT_GE(keeper.files.size(), policy.enabled() ? 2u : whole.evaluations.size());
    for (const int ranks : {1, 2})
      for (size_t i = 0; i < keeper.files.size(); i += ranks == 1 ? 1 : 3) {
        const LabelledProgress read = read_progress(keeper.files[i]);
        EXPECT_EQ(read.label, label);
        size_t evaluated = 0;
        const VideoResult made = made_by(*model, ranks, false, request, policy, nullptr, [&](VideoRun& run) {
          change(run);
          run.continued = &read.progress;
          if (ranks == 1)
            run.agree = [&](Outcome own) {
              ++evaluated;
              return own;
            };
        }).front();
        expect_same(made, whole);
        if (ranks == 1) {   // an answer an evaluation, and a few around them
          EXPECT_LE(evaluated, whole.evaluations.size() - read.progress.result.evaluations.size() + 3) << "evaluations were made again";
        }
      }
  }
}

TEST_P(Leaving, WhenAskedToStopSavesHowFarItCame) {
  const auto model = this->model();
  const VideoDefaults& d = model->defaults();
  const VideoRequest request{.prompt = "A red circle, moving left.", .height = d.height, .width = d.width, .frames = d.frames, .fps = d.fps, .steps = 6,
                             .guidance = d.guidance};
  struct Stopped final : ProgressKeeper {
    std::vector<VideoProgress> saved;
    bool is_due(int, double) const override { return false; }
    void save(const VideoProgress& progress) noexcept override { saved.push_back(progress); }
  } keeper;
  int asked = 0;
  const VideoResult stopped = made_by(*model, 1, false, request, {}, nullptr, [&](VideoRun& run) {
    run.keeper = &keeper;
    run.agree = [&](Outcome own) { return ++asked == 4 ? Outcome::stopped : own; };
  }).front();
  EXPECT_EQ(stopped.outcome, Outcome::stopped);
  ASSERT_EQ(keeper.saved.size(), 1u);
  const VideoResult made = made_by(*model, 1, false, request, {}, nullptr, [&](VideoRun& run) { run.continued = &keeper.saved.front(); }).front();
  expect_same(made, made_by(*model, 1, false, request, {}).front());
}

INSTANTIATE_TEST_SUITE_P(AVideo, Leaving,
                         testing::Values(std::tuple("null", ""), std::tuple("opensora-1.2", ""), std::tuple("latte-1", ""), std::tuple("latte-1", "ddpm"),
                                         std::tuple("osp-1.1", "pndm"), std::tuple("osp-1.2", "dpm-solver"), std::tuple("osp-1.2", "euler-ancestral")),
                         [](const auto& info) {
                           std::string name = concat(std::get<0>(info.param), std::get<1>(info.param));
                           std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
                           return name;
                         });

struct ProgressFile : testing::Test {
  const TemporaryFolder folder;
  const fs::path path = folder / "a.safetensors";
  ProgressFile() {
    VideoProgress progress;
    progress.evaluations = 2;
    progress.latents = {{1, 2}, {1.5f, -2}};
    progress.sampler_history = {{{2}, {3, 4}}};
    progress.result.evaluations.resize(2);
    progress.result.evaluations[1].branches[0] = 0.1;
    write_progress(path, label, progress);
  }
  std::string error() const {
    try {
      read_progress(path);
      return "no error";
    } catch (const Error& error) {
      return error.what();
    }
  }
};

TEST_F(ProgressFile, IsReadAsItWasWritten) {
  const LabelledProgress read = read_progress(path);
  EXPECT_EQ(read.label, label);
  EXPECT_EQ(read.progress.evaluations, 2);
  EXPECT_EQ(read.progress.latents.values, (std::vector<float>{1.5f, -2}));
  EXPECT_EQ(read.progress.sampler_history.front().shape, (Shape{2}));
  EXPECT_EQ(read.progress.result.evaluations[1].branches[0], 0.1);
}

TEST_F(ProgressFile, IsNotBelievedWithAnyByteChangedOrCut) {
  std::string bytes;
  {
    std::ifstream in(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (size_t at = 0; at < bytes.size(); at += 7) {
    std::string changed = bytes;
    changed[at] = char(changed[at] ^ 4);
    std::ofstream(path, std::ios::binary) << changed;
    try {
      const LabelledProgress read = read_progress(path);   // what does not matter may change: a space in the header
      EXPECT_EQ(read.label, label) << at;
      EXPECT_EQ(read.progress.latents.values, (std::vector<float>{1.5f, -2})) << at;
    } catch (const Error&) {
    }
    std::ofstream(path, std::ios::binary) << bytes.substr(0, at);
    EXPECT_NE(error(), "no error") << at;
  }
}

}  // namespace
}  // namespace pyracast
