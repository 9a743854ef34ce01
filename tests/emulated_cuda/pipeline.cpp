// Whole videos on emulated GPUs, by teams of threads: what they take of the GPU's memory, what they send, and how near bfloat16 is.
#include <gmock/gmock.h>

#include <regex>

#include "pipeline/memory_plan.hpp"
#include "tests/pipeline/family_test.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

/// What a team on GPUs of a precision made, and what each rank had in use and sent.
struct Made {
  std::vector<VideoResult> results;
  std::vector<int64_t> most_in_use;
  std::vector<Sent> sent;
};

Made made_on_gpus(const VideoModel& model, CudaPrecision precision, int ranks, bool cfg_parallel, const VideoRequest& request,
                  const BroadcastPolicy& policy, bool decodes, OutputPlace stored_outputs = OutputPlace::device) {
  Made made;
  made.most_in_use.resize(size_t(ranks));
  made.sent.resize(size_t(ranks));
  made.results = made_by(model, ranks, cfg_parallel, request, policy, &made.sent, [&](VideoRun& run) {
    run.decodes = decodes;
    run.stored_outputs = stored_outputs;
  },
                         [&](int rank, Backend& backend) {
    made.most_in_use[size_t(rank)] = backend.memory().most_in_use;
  }, nullptr, {}, [&] { return make_cuda_backend(0, precision); });
  for (const VideoResult& result : made.results) EXPECT_EQ(result.outcome, Outcome::going_on) << result.reason;
  return made;
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += double(a[i] - b[i]) * (a[i] - b[i]);
    norm += double(b[i]) * b[i];
  }
  return std::sqrt(difference / norm);
}

struct VideosOnGpus : FamilyTest {};

TEST_P(VideosOnGpus, TakeTheMemoryThatWasPlanned) {
  const auto compare = [&](CudaPrecision precision, int ranks, bool cfg_parallel, const BroadcastPolicy& policy, const VideoRequest& request) {
    const PlannedDevice device = precision == CudaPrecision::float32 ? PlannedDevice::gpu_float32 : PlannedDevice::gpu_bfloat16;
    const Made made = made_on_gpus(model(), precision, ranks, cfg_parallel, request, policy, true);
    for (int rank = 0; rank < ranks; ++rank)
      EXPECT_EQ(made.most_in_use[size_t(rank)], plan_memory(model(), {}, request, policy, {rank, ranks, cfg_parallel}, device).most_bytes())
          << "rank " << rank << " of " << ranks << (cfg_parallel ? " in halves" : "") << (policy.enabled() ? ", with reuse" : "")
          << (precision == CudaPrecision::bfloat16 ? ", bfloat16" : "");
  };
  VideoRequest image = request(std::string(GetParam()) == "osp-1.1" ? 4 : 2);   // PNDM takes no fewer
  image.frames = 1;
  compare(CudaPrecision::float32, 1, false, {}, image);
  for (const auto& [ranks, cfg_parallel] : {std::pair(1, false), {2, true}})
    compare(CudaPrecision::bfloat16, ranks, cfg_parallel, some_reuse(), image);
}

/// All branches are reused at the second evaluation and the third.
BroadcastPolicy reuse_of_all(const VideoPipeline& pipeline, const VideoRequest& request) {
  Json reuse = Json::array();
  for (const Branch branch : pipeline.branches()) reuse.push_back({{"branch", name_of(branch)}, {"evaluations", {1, 2}}});
  return BroadcastPolicy({{"steps", pipeline.timesteps(request).size()}, {"reuse", reuse}}, "test");
}

// Evaluations take less of the GPU's memory then, and as much of the host's as all that is stored.
TEST_P(VideosOnGpus, TakeTheMemoryThatWasPlannedWithOutputsInTheHosts) {
  VideoRequest image = request(std::string(GetParam()) == "osp-1.1" ? 4 : 3);
  image.frames = 1;
  PlanningBackend nothing;
  const TeamChannels alone = planning_channels(0, 1, false, {});
  const auto pipeline = model().open(nothing, {}, alone);
  const BroadcastPolicy policy = reuse_of_all(*pipeline, image);
  const int64_t stored_bytes = pipeline->plan(image, pipeline->schedule(image, policy)).stored_bytes;   // in float32
  const auto most = [](const MemoryPlan& plan, const char* doing) {
    int64_t bytes = 0;
    for (const MemoryPlan::Phase& phase : plan.phases)
      if (phase.doing.starts_with(doing)) bytes = std::max(bytes, phase.most_bytes);
    return bytes;
  };
  for (const auto& [precision, ranks] : {std::pair(CudaPrecision::float32, 1), {CudaPrecision::bfloat16, 2}}) {
    const bool narrow = precision == CudaPrecision::bfloat16;
    if (narrow && std::string(GetParam()).starts_with("osp")) continue;   // which the emulation takes long for
    const Made made = made_on_gpus(model(), precision, ranks, false, image, policy, false, OutputPlace::host);
    for (int rank = 0; rank < ranks; ++rank) {
      const auto plan_with = [&](OutputPlace place) {
        return plan_memory(model(), {}, image, policy, {.rank = rank, .ranks = ranks, .stored_outputs = place},
                           narrow ? PlannedDevice::gpu_bfloat16 : PlannedDevice::gpu_float32);
      };
      const MemoryPlan plan = plan_with(OutputPlace::host), on_device = plan_with(OutputPlace::device);
      EXPECT_EQ(made.most_in_use[size_t(rank)], std::max({plan.loading_bytes, most(plan, "encoding"), most(plan, "evaluation")}))
          << rank << " of " << ranks;
      EXPECT_LT(most(plan, "evaluation"), most(on_device, "evaluation")) << rank << " of " << ranks;
      EXPECT_EQ(on_device.host_bytes, 0);
      EXPECT_GE(plan.host_bytes, stored_bytes / ranks / (narrow ? 2 : 1));
    }
    if (narrow) {
      EXPECT_EQ(made.results.front().latents, made_on_gpus(model(), precision, 1, false, image, policy, false).results.front().latents);
    }
  }
}

// The frames of the first have not arrived before the second is denoised.
TEST_P(VideosOnGpus, GiveTheSameFramesWhileTheNextOneIsMade) {
  const std::string family = GetParam();
  const bool takes_long = family.starts_with("osp");
  VideoRequest image = request(family == "osp-1.1" ? 4 : 2);
  image.frames = 1;
  image.negative_prompt = "grey blurry";
  VideoRequest next = image;   // of other texts, as long
  next.prompt = "A red circle, left moving.";
  next.negative_prompt = "blurry grey";
  const auto make = [&](CudaPrecision precision, int ranks) {
    const PlannedDevice device = precision == CudaPrecision::float32 ? PlannedDevice::gpu_float32 : PlannedDevice::gpu_bfloat16;
    std::vector<TeamChannels> channels = thread_channels(ranks, false);
    std::vector<std::thread> team;
    for (int rank = 0; rank < ranks; ++rank)
      team.emplace_back([&, rank] {
        const auto backend = make_cuda_backend(0, precision);
        const auto pipeline = model().open(*backend, {}, channels[size_t(rank)]);
        std::vector<VideoResult> made;
        Arrival frames;
        for (uint32_t sample = 0; sample < 2; ++sample) {
          PhiloxNoise noise{42, "a", sample};
          VideoRun run{noise};
          run.broadcast = some_reuse();
          run.decodes = false;
          made.push_back(pipeline->generate(sample ? next : image, run));
          if (frames) std::thread([&] { std::exchange(frames, nullptr)(made.front()); }).join();
          frames = pipeline->decoding(image, made.back(), rank == 0);
        }
        std::exchange(frames, nullptr)(made.back());

        const MemoryPlan plan = plan_memory(model(), {}, image, some_reuse(), {.rank = rank, .ranks = ranks, .beside = Beside::leaving}, device);
        EXPECT_EQ(backend->memory().most_in_use, plan.most_bytes()) << "rank " << rank << " of " << ranks;
        EXPECT_EQ(plan.leaving_bytes > 0, rank == 0);
        VideoResult at_once = made.front();
        at_once.video = {};
        if (family == "opensora-1.2") at_once.video = {0, int(image.height), int(image.width), image.fps, {}};
        pipeline->decode(image, at_once);
        EXPECT_FALSE(at_once.video.rgb.empty());
        EXPECT_EQ(made.front().video.rgb, rank == 0 ? at_once.video.rgb : std::vector<uint8_t>()) << "of rank " << rank;
        for (const VideoResult& result : made) {
          EXPECT_EQ(result.outcome, Outcome::going_on) << result.reason;
          EXPECT_FALSE(result.embedding.empty());
          EXPECT_GT(result.text_seconds, 0);
          EXPECT_GT(result.decode_seconds, 0);
        }
      });
    for (std::thread& rank : team) rank.join();
  };
  make(CudaPrecision::bfloat16, 1);
  if (takes_long) return;
  make(CudaPrecision::float32, 1);
  make(CudaPrecision::bfloat16, 2);
}

// Activations of half the bytes halve what is stored for reuse and what travels.
TEST_P(VideosOnGpus, SendAndStoreHalfTheBytesInBfloat16) {
  const BroadcastPolicy policy = some_reuse();
  const Made wide = made_on_gpus(model(), CudaPrecision::float32, 2, false, request(), policy, false);
  const Made narrow = made_on_gpus(model(), CudaPrecision::bfloat16, 2, false, request(), policy, false);
  for (size_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(narrow.sent[rank].calls, narrow.sent[rank].planned_calls);
    EXPECT_EQ(narrow.sent[rank].bytes, narrow.sent[rank].planned_bytes);
    EXPECT_EQ(narrow.sent[rank].calls, wide.sent[rank].calls);
    EXPECT_EQ(2 * narrow.sent[rank].bytes, wide.sent[rank].bytes);
  }
}

TEST_P(VideosOnGpus, AreInBfloat16NearThoseInFloat32) {
  const VideoResult wide = made_on_gpus(model(), CudaPrecision::float32, 1, false, request(), {}, false).results.front();
  for (const int ranks : {1, 2})
    for (const VideoResult& narrow : made_on_gpus(model(), CudaPrecision::bfloat16, ranks, false, request(), {}, false).results)
      EXPECT_LT(relative_error(narrow.latents, wide.latents), 0.05) << ranks << " ranks";
}

INSTANTIATE_TEST_SUITE_P(Families, VideosOnGpus, testing::Values("opensora-1.2", "latte-1", "osp-1.1", "osp-1.2"),
                         [](const auto& info) { return std::regex_replace(std::string(info.param), std::regex("[^a-z0-9]"), "_"); });

}  // namespace
}  // namespace pyracast
