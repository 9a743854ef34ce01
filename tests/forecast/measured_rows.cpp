// What `plan --measure` makes of the clock times of a team's rows.
#include "forecast/measured_rows.hpp"

#include <gtest/gtest.h>

namespace pyracast {
namespace {

constexpr VideoShape clip{64, 64, 16, 1, 1};

SampleRecord row(double started, double ended, double decode) {
  SampleRecord record;
  record.status = int64_t(SampleStatus::done);
  record.started = started, record.ended = ended;
  record.decode_seconds = decode;
  record.step_seconds.push_back({0, 0, 0, 8, 0, 0});   // of MLPs
  return record;
}

TeamDemand demand(Beside beside) {
  TeamDemand of{.beside = beside};
  for (PhaseWork& phase : of.work) phase = {1, 0};
  return of;
}

// Of each video: 8 s in evaluations, 1 s between videos, 4 s of decoding, and 2 s in which frames leave a GPU.
struct Timeline {
  Beside beside;
  std::vector<SampleRecord> rows;
  double leave, of_team;   ///< expected
};

TEST(MeasuredRows, TellWhatATeamDoesBetweenVideosFromWhatGoesOnBesideTheNext) {
  for (const Timeline& time : {Timeline{Beside::nothing, {row(0, 12, 4), row(13, 25, 4), row(26, 39, 4)}, 0, 13},
                               Timeline{Beside::decoding, {row(0, 13, 4), row(9, 22, 4), row(18, 31, 4)}, 0, 9},
                               Timeline{Beside::leaving, {row(0, 15, 4), row(9, 28, 4), row(22, 40, 4)}, 2, 13}}) {
    const DemandsOfShapes demands{{clip, demand(time.beside)}};
    const auto videos = measured_videos(time.rows, [](const SampleRecord&) { return clip; }, demands);
    ASSERT_EQ(videos.size(), 3u);
    for (size_t i = 0; i < videos.size(); ++i) {
      const auto at = [&](MakingPhase phase) { return videos[i].seconds[size_t(phase)]; };
      const bool last_on_a_gpu = time.beside == Beside::leaving && i == 2;   // whose rest is not told from its frames' leaving
      EXPECT_DOUBLE_EQ(at(MakingPhase::mlp), 8);
      EXPECT_DOUBLE_EQ(at(MakingPhase::decode), 4);
      EXPECT_DOUBLE_EQ(at(MakingPhase::rest), last_on_a_gpu ? 0 : 1) << int(time.beside) << ", video " << i;
      EXPECT_DOUBLE_EQ(at(MakingPhase::leave), time.leave) << int(time.beside) << ", video " << i;
      EXPECT_DOUBLE_EQ(videos[i].of_team, time.of_team - last_on_a_gpu) << int(time.beside) << ", video " << i;
    }
    const LayoutCosts costs = fit_layout(videos, demands);
    EXPECT_NEAR(making_seconds(costs.phases, demands.at(clip).work, time.beside), time.of_team, 0.4) << int(time.beside);
    EXPECT_LT(costs.error, 1e-9) << int(time.beside);
  }
}

TEST(MeasuredRows, OfAGpuThatHadDecodedBeforeTheNextVideoBeganHideNothing) {
  const DemandsOfShapes demands{{clip, demand(Beside::leaving)}};
  const auto videos = measured_videos({row(0, 14, 4), row(13, 27, 4), row(26, 40, 4)}, [](const SampleRecord&) { return clip; }, demands);
  EXPECT_DOUBLE_EQ(videos[0].seconds[size_t(MakingPhase::rest)], 13 - 8 - 3) << "its decoding ended a second behind the next one's beginning";
  EXPECT_DOUBLE_EQ(videos[1].seconds[size_t(MakingPhase::rest)], 13 - 8 - 3 - 1);
  EXPECT_DOUBLE_EQ(videos[1].seconds[size_t(MakingPhase::leave)], 0);
}

TEST(MeasuredRows, OfAnotherTeamOccupyNoTimeOfThisOne) {
  std::vector<SampleRecord> rows{row(0, 15, 4), row(1, 17, 4), row(9, 26, 4)};
  rows[1].team = 1;
  const DemandsOfShapes demands{{clip, demand(Beside::leaving)}};
  const auto videos = measured_videos(rows, [](const SampleRecord&) { return clip; }, demands);
  EXPECT_DOUBLE_EQ(videos[0].seconds[size_t(MakingPhase::rest)], 1);
  EXPECT_DOUBLE_EQ(videos[1].seconds[size_t(MakingPhase::leave)], 26 - 9 - 8 - 4 - 4);
  EXPECT_DOUBLE_EQ(videos[2].seconds[size_t(MakingPhase::leave)], 17 - 1 - 8 - 4) << "nothing was decoded before it";
}

}  // namespace
}  // namespace pyracast
