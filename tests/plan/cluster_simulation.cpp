// The simulation against closed forms, where there are any.
#include "plan/cluster_simulation.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"

namespace pyracast {
namespace {

TEST(ClusterSimulation, WithoutFailuresItIsTheMakespan) {
  SimulatedJob job;
  job.nodes = 3, job.teams_per_node = 2;
  job.list = {{40, 7}, {9, 50}, {2, 31}};
  job.start_up = 11;
  const SimulatedRun run = simulate_cluster(job, 1, 0);
  EXPECT_DOUBLE_EQ(run.wall_seconds, 11 + makespan(job.list, 6));
  EXPECT_DOUBLE_EQ(run.useful, 40 * 7 + 9 * 50 + 2 * 31);
  EXPECT_DOUBLE_EQ(run.computing, run.useful);
  EXPECT_DOUBLE_EQ(run.allocated, 6 * run.wall_seconds);
  EXPECT_EQ(run.failures, 0u);
  EXPECT_EQ(run.lost, 0);
}

/// Seconds until `segment` is computed without a failure: the first try follows on the last checkpoint; each further one waits, starts,
/// and fails or not (with starts of no time and no waiting this is Daly's M exp(R / M) (exp(segment / M) - 1)).
double expected_segment(double segment, double start, double delay, double mtbf) {
  const double fails_first = -std::expm1(-segment / mtbf), succeeds_later = std::exp(-(start + segment) / mtbf);
  const double later = (delay + mtbf * -std::expm1(-(start + segment) / mtbf)) / succeeds_later;
  return mtbf * fails_first + fails_first * later;
}

/// One long video on one node.
struct LongVideo {
  double work, interval, checkpoint, start, delay, mtbf;
  double expected() const {
    const int full = int(std::ceil(work / interval)) - 1;
    const double last = work - full * interval, first = full > 0 ? interval + checkpoint : last;
    // The first try starts as well, without having waited.
    double all = expected_segment(start + first, 0, delay, mtbf);
    for (int i = 1; i < full; ++i) all += expected_segment(interval + checkpoint, start, delay, mtbf);
    return full > 0 ? all + expected_segment(last, start, delay, mtbf) : all;
  }
  double simulated(int runs) const {
    SimulatedJob job;
    job.list = {{work, 1}};
    job.start_up = start, job.requeue_delay = delay, job.mtbf = mtbf;
    job.checkpoint_interval = interval, job.checkpoint_seconds = checkpoint;
    double sum = 0;
    for (int run = 0; run < runs; ++run) sum += simulate_cluster(job, 7, uint32_t(run)).wall_seconds;
    return sum / runs;
  }
};

TEST(ClusterSimulation, OneNodeWithExponentialFailuresTakesTheExpectedTime) {
  for (const LongVideo& video :
       {LongVideo{1000, 100, 5, 20, 60, 400}, {1000, 30, 5, 0, 0, 300}, {1000, 300, 1, 10, 500, 2000}, {250, 1000, 5, 20, 60, 400}})
    EXPECT_NEAR(video.simulated(20000), video.expected(), 0.02 * video.expected());
}

TEST(ClusterSimulation, DalysFormulaIsTheLimitWithoutWaiting) {
  const LongVideo video{10000, 100, 5, 0, 0, 400};
  const double segments = 99, daly = segments * 400 * std::expm1(105 / 400.0) + 400 * std::expm1(100 / 400.0);
  EXPECT_NEAR(video.expected(), daly, 1e-9 * daly);
}

TEST(ClusterSimulation, YoungsIntervalIsNearTheBest) {
  const double mtbf = 4000, checkpoint = 5, young = young_interval(checkpoint, mtbf);
  EXPECT_NEAR(young, 200, 1e-9);
  const auto seconds = [&](double interval) { return LongVideo{100000, interval, checkpoint, 0, 0, mtbf}.simulated(200); };
  const double best = seconds(young);
  EXPECT_LT(best, seconds(young / 4));
  EXPECT_LT(best, seconds(young * 4));
}

TEST(ClusterSimulation, ManyNodesFailAsOneThatFailsSoMuchSooner) {
  // 16 nodes, a video each, that all have one length: the job goes on as one node of a sixteenth of the time between failures.
  SimulatedJob job;
  job.nodes = 16;
  job.list = {{1000, 16}};
  job.start_up = 20, job.requeue_delay = 60, job.mtbf = 16 * 400;
  job.checkpoint_interval = 100, job.checkpoint_seconds = 5;
  double sum = 0, failures = 0;
  constexpr int runs = 5000;
  for (int run = 0; run < runs; ++run) {
    const SimulatedRun one = simulate_cluster(job, 3, uint32_t(run));
    sum += one.wall_seconds;
    failures += double(one.failures);
  }
  const double expected = LongVideo{1000, 100, 5, 20, 60, 400}.expected();
  EXPECT_NEAR(sum / runs, expected, 0.03 * expected);
  EXPECT_GT(failures / runs, 2);
}

TEST(ClusterSimulation, AnAllocationsEndLosesNothing) {
  SimulatedJob job;
  job.list = {{1000, 1}};
  job.start_up = 10, job.requeue_delay = 50, job.allocation = 260;
  const SimulatedRun run = simulate_cluster(job, 1, 0);
  EXPECT_EQ(run.starts, 4u);
  EXPECT_DOUBLE_EQ(run.wall_seconds, 3 * (260 + 50) + 10 + 250);
  EXPECT_DOUBLE_EQ(run.computing, 1000);
  EXPECT_EQ(run.lost, 0);
  EXPECT_EQ(run.failures, 0u);
}

TEST(ClusterSimulation, AllSecondsAreAccountedFor) {
  SimulatedJob job;
  job.nodes = 8, job.teams_per_node = 2;
  job.list = {{300, 40}, {20, 500}};
  job.start_up = 30, job.mtbf = 20000, job.spread = 0.3, job.checkpoint_interval = 60, job.checkpoint_seconds = 2, job.requeue_delay = 100;
  job.allocation = 1500;
  for (uint32_t run = 0; run < 50; ++run) {
    const SimulatedRun one = simulate_cluster(job, 9, run);
    const double running = one.wall_seconds - double(one.starts - 1) * job.requeue_delay;
    EXPECT_NEAR(one.allocated, 16 * running, 1e-6 * one.allocated);
    EXPECT_GE(one.lost, 0);
    EXPECT_LT(one.efficiency(), 1);
  }
}

TEST(ClusterSimulation, CountsVideosThatAreAlikeAsIfTheyWereDealtOutOneByOne) {
  SimulatedJob counted;
  counted.nodes = 6, counted.teams_per_node = 2;
  counted.list = {{300, 700}, {20, 3000}};
  counted.start_up = 30, counted.requeue_delay = 100, counted.spread = 0.3;
  SimulatedJob dealt = counted;   // the same videos, of which too few come together to be counted
  dealt.list.clear();
  for (const WorkGroup& group : counted.list)
    for (uint64_t video = 0; video < group.count; ++video) dealt.list.push_back({group.seconds, 1});
  for (const auto& [mtbf, allocation] : {std::pair{0.0, 0.0}, {200000.0, 0.0}, {0.0, 5000.0}, {60000.0, 9000.0}})
    for (const double interval : {0.0, 60.0})
      for (uint32_t run = 0; run < 20; ++run) {
        for (SimulatedJob* job : {&counted, &dealt})
          job->mtbf = mtbf, job->allocation = allocation, job->checkpoint_interval = interval, job->checkpoint_seconds = 2;
        const SimulatedRun one = simulate_cluster(counted, 9, run), other = simulate_cluster(dealt, 9, run);
        EXPECT_EQ(one.starts, other.starts);
        EXPECT_EQ(one.failures, other.failures);
        for (const auto member : {&SimulatedRun::wall_seconds, &SimulatedRun::computing, &SimulatedRun::checkpointing, &SimulatedRun::lost,
                                  &SimulatedRun::starting, &SimulatedRun::idle, &SimulatedRun::allocated})
          EXPECT_NEAR(one.*member, other.*member, 1e-9 * other.allocated) << "run " << run << ", mtbf " << mtbf << ", allocation " << allocation;
      }
}

TEST(ClusterSimulation, OfVideosWithoutNumberComesToAnEnd) {
  SimulatedJob job;
  job.nodes = 1024;
  job.list = {{600, 1'000'000'000'000}};
  job.start_up = 60, job.spread = 0.05, job.allocation = 1e11, job.requeue_delay = 300;
  const SimulatedRun run = simulate_cluster(job, 1, 0);
  EXPECT_NEAR(run.wall_seconds, 1e12 * 600 / 1024, 1e-3 * run.wall_seconds);
  EXPECT_NEAR(run.computing, run.useful, 0.03 * run.useful);
}

TEST(ClusterSimulation, StragglersMakeTheOthersWait) {
  SimulatedJob job;
  job.nodes = 64;
  job.list = {{100, 64 * 4}};
  const double alike = simulate_cluster(job, 2, 0).efficiency();
  job.spread = 0.2;
  EXPECT_EQ(alike, 1);
  EXPECT_LT(simulate_cluster(job, 2, 0).efficiency(), 0.95);
}

TEST(ClusterSimulation, TheSeedDecidesAllOfIt) {
  SimulatedJob job;
  job.nodes = 32;
  job.list = {{100, 1000}};
  job.mtbf = 30000, job.spread = 0.1, job.checkpoint_interval = 30, job.checkpoint_seconds = 1;
  EXPECT_EQ(simulate_cluster(job, 5, 1).wall_seconds, simulate_cluster(job, 5, 1).wall_seconds);
  EXPECT_NE(simulate_cluster(job, 5, 1).wall_seconds, simulate_cluster(job, 5, 2).wall_seconds);
  EXPECT_NE(simulate_cluster(job, 5, 1).wall_seconds, simulate_cluster(job, 6, 1).wall_seconds);
}

TEST(ClusterSimulation, GivesUpWhatWillNotEndAndRefusesWhatCannotBe) {
  SimulatedJob job;
  job.list = {{1e6, 1}};
  job.mtbf = 10;
  EXPECT_FALSE(simulate_cluster(job, 1, 0).ended);
  job.allocation = 5, job.start_up = 5;
  EXPECT_THROW(simulate_cluster(job, 1, 0), Error);
  job.start_up = 0, job.mtbf = -1;
  EXPECT_THROW(simulate_cluster(job, 1, 0), Error);
}

}  // namespace
}  // namespace pyracast
