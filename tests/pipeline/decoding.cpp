// A video that is decoded later, beside the next, is the one that is decoded at once.
#include <gtest/gtest.h>
#include <omp.h>

#include <future>
#include <thread>

#include "kernels/cpu/cpu_backend.hpp"
#include "pipeline/memory_plan.hpp"
#include "tests/pipeline/family_test.hpp"

namespace pyracast {
namespace {

struct DecodingOfFamily : FamilyTest {
  const std::unique_ptr<Backend> backend = make_cpu_backend();
  const TeamChannels alone = lone_channels();
  const std::unique_ptr<VideoPipeline> pipeline = model().open(*backend, {}, alone);

  VideoResult made(uint32_t sample, bool decodes) const {
    PhiloxNoise noise{7, "a", sample};
    VideoRun run{noise};
    run.decodes = decodes;
    return pipeline->generate(request(), run);
  }
};

TEST_P(DecodingOfFamily, BesideTheNextVideoGivesTheSame) {
  std::vector<VideoResult> expected, found;
  for (uint32_t sample = 0; sample < 4; ++sample) expected.push_back(made(sample, true));

  std::future<VideoResult> in_hand;
  for (uint32_t sample = 0; sample < 4; ++sample) {
    VideoResult latents = made(sample, false);
    EXPECT_EQ(latents.video.frames, 0);
    if (in_hand.valid()) found.push_back(in_hand.get());
    in_hand = std::async(std::launch::async, [&, result = std::move(latents)]() mutable {
      omp_set_num_threads(1);
      pipeline->decode(request(), result);
      return std::move(result);
    });
  }
  found.push_back(in_hand.get());

  for (size_t sample = 0; sample < expected.size(); ++sample) {
    EXPECT_EQ(found[sample].outcome, Outcome::going_on) << found[sample].reason;
    EXPECT_EQ(found[sample].latents, expected[sample].latents);
    EXPECT_EQ(found[sample].video.rgb, expected[sample].video.rgb);
    EXPECT_EQ(found[sample].video.frames, expected[sample].video.frames);
    EXPECT_EQ(found[sample].video.fps, expected[sample].video.fps);
    EXPECT_GT(found[sample].decode_seconds, 0);
  }
  const PlannedRank beside{.beside = Beside::decoding};
  const auto most = int64_t(dynamic_cast<const CpuBackend&>(*backend).pool().most_in_use());
  EXPECT_LE(most, plan_memory(model(), {}, request(), {}, beside).most_bytes());
}

TEST_P(DecodingOfFamily, WhoseFramesArriveLaterGivesTheSame) {
  std::vector<VideoResult> expected, found;
  for (uint32_t sample = 0; sample < 3; ++sample) expected.push_back(made(sample, true));
  std::vector<Arrival> arrivals;
  for (uint32_t sample = 0; sample < 3; ++sample) {
    found.push_back(made(sample, false));
    arrivals.push_back(pipeline->decoding(request(), found.back(), true));
  }
  std::thread([&] {
    for (size_t sample = 0; sample < 3; ++sample) arrivals[sample](found[sample]);
  }).join();
  for (size_t sample = 0; sample < 3; ++sample) {
    EXPECT_EQ(found[sample].video.rgb, expected[sample].video.rgb);
    EXPECT_FALSE(expected[sample].video.rgb.empty());
    EXPECT_GT(found[sample].decode_seconds, 0);
  }
}

TEST_P(DecodingOfFamily, WithoutFramesSaysHowItEnded) {
  VideoResult result = made(0, false), bad = result;
  pipeline->decode(request(), result, false);
  EXPECT_EQ(result.outcome, Outcome::going_on);
  EXPECT_TRUE(result.video.rgb.empty());
  bad.latents.front() = std::numeric_limits<float>::quiet_NaN();
  pipeline->decode(request(), bad, false);
  EXPECT_EQ(bad.outcome, Outcome::failed);
}

TEST_P(DecodingOfFamily, IsPlannedBesideWhatTakesTheMost) {
  const MemoryPlan usual = plan_memory(model(), {}, request(), {}, {}),
                   beside = plan_memory(model(), {}, request(), {}, {.beside = Beside::decoding});
  int64_t decoding = 0;
  for (const MemoryPlan::Phase& phase : usual.phases)
    if (phase.doing == "decoding") decoding = phase.most_bytes - usual.weight_bytes;
  ASSERT_GT(decoding, 0);
  EXPECT_EQ(beside.most_bytes(), usual.most().most_bytes + decoding);
}

TEST_P(DecodingOfFamily, OfLatentsThatAreNotFiniteIsAFailure) {
  VideoResult result = made(0, false);
  result.latents.front() = std::numeric_limits<float>::quiet_NaN();
  pipeline->decode(request(), result);
  EXPECT_EQ(result.outcome, Outcome::failed);
  EXPECT_EQ(result.reason, "the decoded pixels are not finite");
}

INSTANTIATE_TEST_SUITE_P(Families, DecodingOfFamily, testing::Values("opensora-1.2", "latte-1", "osp-1.1", "osp-1.2"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase_if(name, [](char c) { return !isalnum(c); });
                           return name;
                         });

}  // namespace
}  // namespace pyracast
