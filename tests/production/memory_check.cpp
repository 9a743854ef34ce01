// What every command that makes videos decides by: whether they fit, where stored outputs are kept, and what is said where they do not.
#include "production/memory_check.hpp"

#include <gmock/gmock.h>

namespace pyracast {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class MemoryCheck : public ::testing::Test {
 protected:
  ModelSettings settings;
  std::unique_ptr<VideoModel> model = find_model({"opensora-1.2", DEMO_SNAPSHOT});
  const BroadcastPolicy reused{Json::parse(R"({"steps": 4, "reuse": [{"branch": "spatial_mlp", "evaluations": [1, 2, 3]}]})"), "a table"};

  static VideoRequest request(int64_t side) {
    return {.prompt = "a star", .height = side, .width = side, .frames = 1, .fps = 8, .steps = 4, .guidance = 7};
  }
  VideosToFit videos(std::vector<VideoRequest> requests, std::vector<BroadcastPolicy> policies, bool decodes = true) const {
    return {.model = *model, .settings = settings, .requests = std::move(requests), .policies = std::move(policies),
            .rank = rank_without_folder(settings, "auto", 1, false, decodes)};
  }
  /// What four ranks of a node without GPUs take.
  static int64_t bytes(const VideosToFit& videos) {
    return fit_node({.ranks = 4, .host_bytes = int64_t(1) << 40}, videos, true).second.bytes(4);
  }
  static std::string refusal(const NodeRoom& room, const VideosToFit& videos) {
    try {
      fit_node(room, videos, true);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(MemoryCheck, OfAllSizesAndPoliciesThatWhichTakesTheMostCounts) {
  const int64_t large = bytes(videos({request(128)}, {reused}));
  EXPECT_LT(bytes(videos({request(128)}, {BroadcastPolicy()})), large);
  EXPECT_LT(bytes(videos({request(64)}, {reused})), large);
  EXPECT_EQ(bytes(videos({request(64), request(128), request(64)}, {BroadcastPolicy(), reused})), large);
}

TEST_F(MemoryCheck, VideosThatEndWithTheirLatentsDoNotTakeWhatDecodingTakes) {
  const VideosToFit decoded = videos({request(256)}, {BroadcastPolicy()});
  const NodeMemory memory = fit_node({.ranks = 4, .host_bytes = int64_t(1) << 40}, decoded, true).second;
  ASSERT_EQ(memory.videos.first.most().doing, "decoding");
  EXPECT_LT(bytes(videos({request(256)}, {BroadcastPolicy()}, false)), bytes(decoded));
}

TEST_F(MemoryCheck, ANodeIsRefusedAByteMoreThanItHasAndToldWhatTheCommandCanChange) {
  VideosToFit all = videos({request(128)}, {reused});
  const int64_t needed = bytes(all);
  EXPECT_EQ(refusal({.ranks = 4, .host_bytes = needed}, all), "");
  const NodeRoom small{.ranks = 4, .host_bytes = needed - 1};
  EXPECT_THAT(refusal(small, all), AllOf(HasSubstr("videos of this size take "), HasSubstr(" for tensors on each team of 1 rank, so "),
                                         HasSubstr(": use at most 3 ranks a node, --text-encoding once where it is not used yet, --dtype bfloat16 "
                                                   "where it is not used yet, more ranks a video, or smaller videos")));
  all.ways_out = {.larger_teams = false, .text_encoding = "offload"};
  EXPECT_THAT(refusal(small, all), AllOf(HasSubstr("--text-encoding offload where"), Not(HasSubstr("ranks a video"))));
  all.ways_out = {.text_encoding = "", .other_videos = false};
  EXPECT_THAT(refusal(small, all), HasSubstr(": use at most 3 ranks a node, or more ranks a video"));
}

}  // namespace
}  // namespace pyracast
