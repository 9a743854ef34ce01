// A video that is left and gone on with, by another team, through a file: the same bits.
#include <gmock/gmock.h>

#include "diffusion/sampler.hpp"
#include "pipeline/progress_file.hpp"
#include "pipeline/saving_time.hpp"
#include "tests/models/tiny_snapshots.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;

const ProgressLabel label{std::string(64, 'f'), "an id", 3};

/// Saves whenever it may and remembers all files; `seconds` is what saving takes, it says.
class EveryPlace : public ProgressKeeper {
 public:
  explicit EveryPlace(fs::path folder, double seconds = 0, bool is_always_due = true)
      : folder_(std::move(folder)), seconds_(seconds), is_always_due_(is_always_due) {}
  std::vector<fs::path> files;
  bool is_due(int, double, double) const override { return is_always_due_; }
  double seconds_to_save(int64_t) const override { return seconds_; }
  void save(const VideoProgress& progress, const StoredOutputs& outputs) noexcept override {
    fs::create_directories(folder_);
    files.push_back(folder_ / concat(progress.result.evaluations.size(), ".safetensors"));
    write_progress(files.back(), label, progress, outputs);
  }

 private:
  fs::path folder_;
  double seconds_;
  bool is_always_due_;
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
  static bool has_network() { return std::string(std::get<0>(GetParam())) != "null"; }
  static VideoRequest request(const VideoModel& model, int steps, int clips = 1) {
    const VideoDefaults& d = model.defaults();
    const auto half = [](int64_t pixels) { return std::max<int64_t>(16, pixels / 32 * 16); };   // small, and a multiple of every family's patch
    return {.prompt = "A red circle, moving left.", .negative_prompt = d.negative_prompt, .height = half(d.height), .width = half(d.width),
            .frames = d.frames, .fps = d.fps, .steps = steps, .guidance = d.guidance, .clips = clips};
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
  const bool several_clips = std::string(std::get<0>(GetParam())) == "opensora-1.2";
  const VideoRequest request = this->request(*model, 7, several_clips ? 2 : 1);
  for (const BroadcastPolicy& policy : {BroadcastPolicy(), some_reuse()}) {
    if (policy.enabled() && !has_network()) continue;
    const auto change = [&](VideoRun& run) { run.keeps_step_latents = true; };
    const VideoResult whole = made_by(*model, 1, false, request, policy, nullptr, change).front();
    EveryPlace keeper(folder.path());
    expect_same(made_by(*model, 1, false, request, policy, nullptr, change, {}, &keeper).front(), whole);
    ASSERT_EQ(keeper.files.size(), whole.evaluations.size());
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

bool holds_outputs(const fs::path& file) { return !read_progress(file).progress.outputs.empty(); }

TEST_P(Leaving, WithOutputsThatAreStillReusedWritesTheSameOnesAndGoesOnWithThemOnATeam) {
  if (!has_network()) GTEST_SKIP() << "no network, so nothing is stored";
  const auto model = this->model();
  const VideoRequest request = this->request(*model, 6);
  for (const char* stored : {"gated", "ungated"}) {
    const BroadcastPolicy policy = some_reuse(stored);
    const VideoResult whole = made_by(*model, 1, false, request, policy).front();
    EveryPlace alone(folder / concat(stored, "-alone"));
    made_by(*model, 1, false, request, policy, nullptr, {}, {}, &alone);
    ASSERT_GE(std::count_if(alone.files.begin(), alone.files.end(), holds_outputs), 2);
    for (const TestTeam& team : {TestTeam{"two", 2, false}, {"three", 3, false}, {"halves", 2, true}, {"fours", 4, true},
                                 {"turns", 3, false, true}}) {
      SCOPED_TRACE(concat(stored, ", ", team.name));
      EveryPlace keeper(folder / concat(stored, '-', team.name));
      const auto results = made_by(*model, team, request, policy, nullptr, {}, {}, &keeper);
      expect_same(results.front(), whole);
      ASSERT_EQ(keeper.files.size(), alone.files.size());
      for (size_t i = 0; i < keeper.files.size(); ++i) {
        const auto of_team = read_progress(keeper.files[i]).progress.outputs, of_one = read_progress(alone.files[i]).progress.outputs;
        ASSERT_EQ(of_team.size(), of_one.size());
        for (const auto& [site, output] : of_one) {
          EXPECT_EQ(of_team.at(site).shape, output.shape);
          EXPECT_TRUE(std::ranges::equal(of_team.at(site).bytes, output.bytes)) << "block " << site.site.block << " behind evaluation " << i + 1;
        }
      }
      // There and back: from one rank to the team, and from the team to one rank.
      const auto inside = size_t(std::find_if(alone.files.begin(), alone.files.end(), holds_outputs) - alone.files.begin()) + 1;
      ASSERT_TRUE(holds_outputs(alone.files[inside]));
      const LabelledProgress from_one = read_progress(alone.files[inside]), from_team = read_progress(keeper.files[inside]);
      const auto gone_on = [&](const LabelledProgress& from, const TestTeam& by) {
        return made_by(*model, by, request, policy, nullptr, [&](VideoRun& run) { run.continued = &from.progress; });
      };
      for (const VideoResult& made : gone_on(from_one, team)) expect_same(made, whole);
      expect_same(gone_on(from_team, {"one", 1, false}).front(), whole);
    }
  }
}

// Where outputs are kept is of no account to what is saved of them.
TEST_P(Leaving, WithOutputsInTheHostsMemoryWritesTheSameOnesAndGoesOnFromEitherPlaceOnATeam) {
  if (!has_network()) GTEST_SKIP() << "no network, so nothing is stored";
  const auto model = this->model();
  const VideoRequest request = this->request(*model, 6);
  const BroadcastPolicy policy = some_reuse();
  const auto kept_in = [](OutputPlace place) { return [place](VideoRun& run) { run.stored_outputs = place; }; };
  const VideoResult whole = made_by(*model, 1, false, request, policy).front();
  EveryPlace alone(folder / "device");
  made_by(*model, 1, false, request, policy, nullptr, {}, {}, &alone);
  for (const TestTeam& team : {TestTeam{"one", 1, false}, {"two", 2, false}, {"fours", 4, true}}) {
    SCOPED_TRACE(team.name);
    EveryPlace keeper(folder / concat("host-", team.name));
    for (const VideoResult& made : made_by(*model, team.ranks, team.cfg_parallel, request, policy, nullptr, kept_in(OutputPlace::host), {}, &keeper))
      EXPECT_EQ(made.latents, whole.latents);
    ASSERT_EQ(keeper.files.size(), alone.files.size());
    size_t inside = 0;
    for (size_t i = 0; i < keeper.files.size(); ++i) {
      const auto of_host = read_progress(keeper.files[i]).progress.outputs, of_device = read_progress(alone.files[i]).progress.outputs;
      ASSERT_EQ(of_host.size(), of_device.size());
      for (const auto& [site, output] : of_device) EXPECT_TRUE(std::ranges::equal(of_host.at(site).bytes, output.bytes)) << site.site.block;
      if (!of_device.empty()) inside = i;
    }
    ASSERT_TRUE(holds_outputs(keeper.files[inside]));
    for (const OutputPlace place : {OutputPlace::device, OutputPlace::host}) {
      const LabelledProgress from = read_progress((place == OutputPlace::device ? keeper : alone).files[inside]);   // of the other place
      for (const VideoResult& made : made_by(*model, team.ranks, team.cfg_parallel, request, policy, nullptr, [&](VideoRun& run) {
             run.continued = &from.progress;
             run.stored_outputs = place;
           }))
        expect_same(made, whole);
    }
  }
}

TEST_P(Leaving, InsideReuseOfAHalfOfGuidanceGoesOnWithWhatItAddedOnATeam) {
  if (!has_network()) GTEST_SKIP() << "no network, so nothing is reused";
  const auto model = this->model();
  const VideoRequest request = this->request(*model, 7);
  const int evaluations = int(made_by(*model, 1, false, request, {}).front().evaluations.size());
  const BroadcastPolicy policy = reuse_of_a_half(evaluations);
  const VideoResult whole = made_by(*model, 1, false, request, policy).front();
  EveryPlace keeper(folder / "first");
  made_by(*model, 1, false, request, policy, nullptr, {}, {}, &keeper);
  ASSERT_EQ(keeper.files.size(), size_t(evaluations));
  bool of_both_halves = false;
  for (int made = 1; made <= evaluations; ++made) {
    const LabelledProgress read = read_progress(keeper.files[size_t(made) - 1]);
    EXPECT_EQ(!read.progress.guidance_difference.values.empty(), made == 2 || made == 3 || made == evaluations - 1) << made;
    std::array<int, 2> outputs{};
    for (const auto& [stored, tensor] : read.progress.outputs) ++outputs[stored.unconditional];
    of_both_halves = of_both_halves || (outputs[0] > 0 && outputs[1] > 0);
    for (const int ranks : {1, 2}) {
      EveryPlace again(folder / concat(made, "-by-", ranks));
      for (const VideoResult& result : made_by(*model, ranks, false, request, policy, nullptr, [&](VideoRun& run) { run.continued = &read.progress; },
                                               {}, &again))
        expect_same(result, whole);
      for (size_t i = 0; i < again.files.size(); ++i) {   // what it saves, a few evaluations on, is what was saved there before
        const VideoProgress now = read_progress(again.files[i]).progress, then = read_progress(keeper.files[size_t(made) + i]).progress;
        EXPECT_EQ(now.guidance_difference.values, then.guidance_difference.values);
        ASSERT_EQ(now.outputs.size(), then.outputs.size());
        for (const auto& [stored, tensor] : then.outputs)
          EXPECT_TRUE(std::ranges::equal(now.outputs.at(stored).bytes, tensor.bytes)) << made << ' ' << i;
      }
    }
  }
  EXPECT_TRUE(of_both_halves);
}

TEST_P(Leaving, WhenAskedToStopOnATeamSavesHowFarItCameWhereThatIsCheaper) {
  const auto model = this->model();
  const VideoRequest request = this->request(*model, 6);
  // Behind the third evaluation; Open-Sora's teams agree on the texts before.
  const int last = std::string(std::get<0>(GetParam())) == "opensora-1.2" ? 4 : 3;
  const auto stopped = [&](const BroadcastPolicy& policy, int ranks, EveryPlace& keeper) {
    const auto results = made_by(*model, ranks, false, request, policy, nullptr, [&](VideoRun& run) {
      run.agree = [&, team = run.agree, asked = 0](Outcome own) mutable { return team(++asked == last ? Outcome::stopped : own); };
    }, {}, &keeper);
    for (const VideoResult& result : results) EXPECT_EQ(result.outcome, Outcome::stopped);
  };
  for (const BroadcastPolicy& policy : {BroadcastPolicy(), some_reuse()})
    for (const int ranks : {1, 2}) {
      if (policy.enabled() && !has_network()) continue;
      EveryPlace cheap(folder / "cheap", 0, false), dear(folder / "dear", 1e9, false);
      stopped(policy, ranks, cheap);
      stopped(policy, ranks, dear);
      ASSERT_EQ(cheap.files.size(), 1u);
      const LabelledProgress read = read_progress(cheap.files.front());
      EXPECT_EQ(read.progress.outputs.empty(), !policy.enabled());
      EXPECT_EQ(dear.files.size(), read.progress.outputs.empty() ? 1u : 0u) << "outputs are only saved where that is cheaper";
      const VideoResult made = made_by(*model, 1, false, request, policy, nullptr, [&](VideoRun& run) { run.continued = &read.progress; }).front();
      expect_same(made, made_by(*model, 1, false, request, policy).front());
    }
}

TEST_P(Leaving, GoesOnOnATeamWhereTheDiskSaysNoInTheMiddle) {
  if (!has_network()) GTEST_SKIP() << "no network, so nothing is stored";
  struct Full final : EveryPlace {
    using EveryPlace::EveryPlace;
    void save(const VideoProgress&, const StoredOutputs& outputs) noexcept override {
      if (outputs.sites.size() > 1) outputs.next();   // the others are never asked for
    }
  } keeper("");
  const auto model = this->model();
  const VideoRequest request = this->request(*model, 6);
  const VideoResult whole = made_by(*model, 1, false, request, some_reuse()).front();
  for (const VideoResult& made : made_by(*model, 2, false, request, some_reuse(), nullptr, {}, {}, &keeper)) expect_same(made, whole);
}

INSTANTIATE_TEST_SUITE_P(AVideo, Leaving,
                         testing::Values(std::tuple("null", ""), std::tuple("opensora-1.2", ""), std::tuple("latte-1", ""),
                                         std::tuple("latte-1", "ddpm"), std::tuple("osp-1.1", "pndm"), std::tuple("osp-1.2", "dpm-solver"),
                                         std::tuple("osp-1.2", "euler-ancestral")),
                         [](const auto& info) {
                           std::string name = concat(std::get<0>(info.param), std::get<1>(info.param));
                           std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
                           return name;
                         });

struct ProgressFile : testing::Test {
  const TemporaryFolder folder;
  const fs::path path = folder / "a.safetensors";
  const std::unique_ptr<Backend> backend = make_cpu_backend();
  ProgressFile() {
    VideoProgress progress;
    progress.evaluations = 2;
    progress.latents = {{1, 2}, {1.5f, -2}};
    progress.sampler_history = {{{2}, {3, 4}}};
    progress.guidance_difference = {{1, 2}, {5, 6}};
    progress.result.evaluations.resize(2);
    progress.result.evaluations[1].branches[0] = 0.1;
    progress.result.continuations = 2;
    progress.result.continued_after = 1;
    int next = 0;
    const StoredOutputs outputs{{{{Branch::spatial_attention, 0}, false}, {{Branch::temporal_cross, 5}, true}}, {1, 1, 1, 2},
                                [&] { return Tensor(*backend, {2}, {float(++next), -0.f}); }};
    write_progress(path, label, progress, outputs);
  }
  static std::vector<float> values(const StoredTensor& tensor) {
    std::vector<float> values(tensor.bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
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
  EXPECT_EQ(read.progress.guidance_difference.values, (std::vector<float>{5, 6}));
  EXPECT_EQ(read.progress.result.evaluations[1].branches[0], 0.1);
  EXPECT_EQ(read.progress.result.continuations, 2);
  EXPECT_EQ(read.progress.result.continued_after, 1);
  ASSERT_EQ(read.progress.outputs.size(), 2u);
  EXPECT_EQ(values(read.progress.outputs.at({{Branch::spatial_attention, 0}, false})), (std::vector<float>{1, 0}));
  EXPECT_EQ(values(read.progress.outputs.at({{Branch::temporal_cross, 5}, true})), (std::vector<float>{2, 0}));
  EXPECT_EQ(read.progress.outputs.at({{Branch::temporal_cross, 5}, true}).shape, (Shape{1, 1, 1, 2}));
  EXPECT_EQ(label_of_progress(path), label);
}

TEST_F(ProgressFile, IsNotBelievedWithAnyByteChangedOrCut) {
  std::string bytes;
  {
    std::ifstream in(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (size_t at = 0; at < bytes.size(); at += 3) {
    std::string changed = bytes;
    changed[at] = char(changed[at] ^ 4);
    std::ofstream(path, std::ios::binary) << changed;
    try {
      const LabelledProgress read = read_progress(path);   // what does not matter may change: a space in the header
      EXPECT_EQ(read.label, label) << at;
      EXPECT_EQ(read.progress.latents.values, (std::vector<float>{1.5f, -2})) << at;
      EXPECT_EQ(values(read.progress.outputs.at({{Branch::temporal_cross, 5}, true})), (std::vector<float>{2, 0})) << at;
    } catch (const Error&) {
    }
    std::ofstream(path, std::ios::binary) << bytes.substr(0, at);
    EXPECT_NE(error(), "no error") << at;
  }
}

TEST(SavingTime, IsGuessedFromEarlierSaves) {
  SavingTime time;
  const int64_t gib = int64_t(1) << 30;
  EXPECT_NEAR(time.guess(gib), 7.2, 0.1) << "a first guess";
  time.took(2 * gib, 4);
  EXPECT_DOUBLE_EQ(time.guess(gib), 2);
  time.took(1000, 0.5);
  EXPECT_DOUBLE_EQ(time.guess(gib), 2) << "a small one tells no rate";
  EXPECT_DOUBLE_EQ(time.guess(gib / 1024), 0.5) << "but how long any takes";
}

}  // namespace
}  // namespace pyracast
