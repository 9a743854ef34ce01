#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

std::unique_ptr<VideoModel> demo() { return find_model({"opensora-1.2", DEMO_SNAPSHOT, {}}); }

class OpenSoraOnATeam : public testing::TestWithParam<TestTeam> {};

// Odd numbers of tokens, more ranks than frames or than tokens, two clips of which the second continues the first.
TEST_P(OpenSoraOnATeam, GivesTheBitsOfOneRank) {
  const BroadcastPolicy pab({{"spatial_broadcast", true}, {"spatial_threshold", {100, 900}}, {"spatial_range", 2},
                             {"cross_broadcast", true}, {"cross_threshold", {100, 900}}, {"cross_range", 3}}, "test");
  Json gate_anew = pab.json();
  gate_anew["stored"] = "ungated";
  const BroadcastPolicy ungated(gate_anew, "test");
  for (const auto& request : {VideoRequest{.prompt = "a red circle moving left", .height = 48, .width = 40, .frames = 17, .steps = 4, .guidance = 3},
                              VideoRequest{.prompt = "a star", .height = 24, .width = 24, .frames = 1, .steps = 3, .guidance = 3},
                              VideoRequest{.prompt = "a star", .height = 16, .width = 16, .frames = 34, .steps = 2, .guidance = 3, .clips = 2}}) {
    for (const BroadcastPolicy& policy : {BroadcastPolicy(), pab, ungated})
      expect_the_video_of_one_rank(*demo(), GetParam(), request, policy);
  }
}

// The schedule does reuse stored outputs where tokens rest on the other axis, so that stored outputs move as well.
TEST_P(OpenSoraOnATeam, SendsExactlyWhatWasPlanned) {
  const BroadcastPolicy pab({{"spatial_broadcast", true}, {"spatial_threshold", {0, 1000}}, {"spatial_range", 3},
                             {"temporal_broadcast", true}, {"temporal_threshold", {0, 900}}, {"temporal_range", 2}}, "test");
  const VideoRequest request{.prompt = "a star", .height = 48, .width = 40, .frames = 34, .steps = 7, .guidance = 3};
  for (const BroadcastPolicy& policy : {BroadcastPolicy(), pab}) expect_what_was_planned(*demo(), GetParam(), request, policy);
}

TEST(OpenSoraBroadcast, OfRangeOneIsNoneBitForBit) {
  const VideoRequest request{.prompt = "a star", .height = 24, .width = 24, .frames = 17, .steps = 4, .guidance = 3};
  Json one;
  for (const char* kind : {"spatial", "temporal", "cross"}) {
    one[concat(kind, "_broadcast")] = true;
    one[concat(kind, "_range")] = 1;
    one[concat(kind, "_threshold")] = {0, 1000};
  }
  const VideoResult off = made_by(*demo(), 1, false, request, {}).front();
  EXPECT_EQ(made_by(*demo(), 1, false, request, BroadcastPolicy(one, "test")).front().latents, off.latents);
  one["spatial_range"] = 2;
  const std::vector<float> gated = made_by(*demo(), 1, false, request, BroadcastPolicy(one, "test")).front().latents;
  EXPECT_NE(gated, off.latents);
  one["stored"] = "ungated";
  EXPECT_NE(made_by(*demo(), 1, false, request, BroadcastPolicy(one, "test")).front().latents, gated);
}

INSTANTIATE_TEST_SUITE_P(, OpenSoraOnATeam, testing::Values(TestTeam{"Of2", 2, false}, TestTeam{"Of3", 3, false}, TestTeam{"Of4", 4, false},
                                                            TestTeam{"Of5", 5, false}, TestTeam{"Of8", 8, false},
                                                            TestTeam{"Of2HalvedByGuidance", 2, true}, TestTeam{"Of6HalvedByGuidance", 6, true},
                                                            TestTeam{"Of2InTurns", 2, false, true}, TestTeam{"Of3InTurns", 3, false, true},
                                                            TestTeam{"Of8InTurns", 8, false, true},
                                                            TestTeam{"Of6HalvedByGuidanceInOneTurn", 6, true, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pyracast
