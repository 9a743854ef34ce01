// `pyracast simulate`: a planned job on 1 to 1024 nodes that fail and differ in speed, with several checkpoint intervals: how much of the
// allocation becomes videos, and what failures cost.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/config.hpp"
#include "base/counted.hpp"
#include "base/file.hpp"
#include "dataset/layout.hpp"
#include "jobs/jobs.hpp"
#include "plan/cluster_simulation.hpp"
#include "report/line_chart.hpp"
#include "runtime/version.hpp"

namespace pyracast {

namespace {

struct SimulateSettings {
  std::filesystem::path config, plan, output;
  std::vector<std::string> nodes{"1", "2", "4", "8", "16", "32", "64", "128", "256", "512", "1024"};
  std::vector<std::string> intervals{"never", "60", "600", "3600"};
  double mtbf = 43800, spread = 0.05, checkpoint_seconds = 1, requeue_delay = 300, allocation = 86400;
  int64_t videos = 0;
  double seconds = 0, start_up = 60;
  int teams_per_node = 1, runs = 5;
  bool per_node = false, json = false;
  uint64_t seed = 42;

  template <class Visit>
  static void fields(Visit&& visit, SimulateSettings& s) {
    visit("Job", "config", s.config, "file of `key = value` settings");
    visit("Job", "plan", s.plan, "what `pyracast plan --json` has printed: videos, seconds, teams a node and start-up");
    visit("Job", "videos", s.videos, "without a plan: how many");
    visit("Job", "seconds", s.seconds, "without a plan: of a team for one video");
    visit("Job", "teams-per-node", s.teams_per_node, "without a plan");
    visit("Job", "start-up", s.start_up, "without a plan: seconds until a job that has begun makes videos");
    visit("Job", "per-node", s.per_node, "so many videos for each node: else all nodes share them");
    visit("Cluster", "nodes", s.nodes, "how many, comma between");
    visit("Cluster", "mtbf", s.mtbf, "hours between failures of one node, on average; 0: none fails");
    visit("Cluster", "spread", s.spread, "of the nodes' seconds for equal work: standard deviation of their logarithm");
    visit("Cluster", "requeue-delay", s.requeue_delay, "seconds from a failure, or the allocation's end, until the job begins again");
    visit("Cluster", "allocation", s.allocation, "seconds after which the job stops by itself and is queued again; 0: never");
    visit("Checkpoints", "intervals", s.intervals, "seconds between two checkpoints of a video, or never (comma between)");
    visit("Checkpoints", "checkpoint-seconds", s.checkpoint_seconds, "to write one");
    visit("Simulation", "runs", s.runs, "of each, whose means are shown");
    visit("Simulation", "seed", s.seed, "of the failures and the nodes' speeds");
    visit("Simulation", "output", s.output, "folder for simulation.json, efficiency.svg and failures.svg; default: only the table is printed");
    visit("Simulation", "json", s.json, "as JSON");
  }
};

double number_of(const std::string& text, const char* name, bool may_be_never) {
  if (may_be_never && text == "never") return 0;
  double number = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && stopped == text.data() + text.size();
  require(is_number && number > 0 && (may_be_never || number == std::floor(number)), name, " holds \"", text, "\", expected ",
          may_be_never ? "seconds, or never" : "whole numbers of 1 or more", " (comma between)");
  return number;
}

SimulatedJob job_of(const SimulateSettings& s) {
  SimulatedJob job;
  job.mtbf = 3600 * s.mtbf;
  constexpr double most_spread = 2;   // a standard deviation of the slowest takes 7 times as long
  require(s.spread >= 0 && s.spread <= most_spread, "spread is ", s.spread, ", expected 0 to ", most_spread);
  job.spread = s.spread;
  job.checkpoint_seconds = s.checkpoint_seconds;
  job.requeue_delay = s.requeue_delay;
  job.allocation = s.allocation;
  if (s.plan.empty()) {
    constexpr int64_t most_videos = 100'000'000;   // times most nodes exact as a double
    require(s.videos <= most_videos, "videos is ", s.videos, ", expected at most ", most_videos);
    require(s.videos >= 1 && s.seconds > 0, "what to simulate is not known: give --plan FILE, or --videos N --seconds S");
    job.list = {{s.seconds, uint64_t(s.videos)}};
    job.teams_per_node = s.teams_per_node;
    job.start_up = s.start_up;
    return job;
  }
  require(s.videos == 0 && s.seconds == 0, "videos and seconds come from the plan: leave them out, or --plan");
  const std::string where = s.plan.string();
  const Json plan = read_json(s.plan);
  job.start_up = value<double>(plan, "start_up_seconds", where);
  job.teams_per_node = int(count_value(plan, "ranks_per_node", where) / count_value(plan, "ranks_per_video", where));
  require(plan.contains("list") && plan.at("list").is_array(), where,
          ": \"list\" is missing or no list: expected what `pyracast plan --json true` prints");
  for (const Json& group : plan.at("list"))
    job.list.push_back({value<double>(group, "seconds", where + ", list"), uint64_t(count_value(group, "count", where + ", list"))});
  return job;
}

/// Means over the runs of one number of nodes and interval.
struct SimulatedPoint {
  int nodes;
  std::string interval;
  double efficiency = 0, wall_hours = 0, node_hours = 0, failures = 0;
  double failure_cost = 0;   ///< node-hours more than without failures, over those
  double lost = 0, checkpointing = 0, starting = 0, idle = 0;   ///< shares of the allocation
  int gave_up = 0;           ///< runs that would hardly end; they count in nothing else
};

SimulatedPoint point_of(SimulatedJob job, const SimulateSettings& s, int nodes, const std::string& interval) {
  job.nodes = nodes;
  job.checkpoint_interval = number_of(interval, "intervals", true);
  if (s.per_node)
    for (WorkGroup& group : job.list) group.count *= uint64_t(nodes);
  SimulatedPoint point{nodes, interval};
  const double teams = job.teams_per_node;
  for (int run = 0; run < s.runs; ++run) {
    const SimulatedRun with = simulate_cluster(job, s.seed, uint32_t(run));
    if (!with.ended) {
      ++point.gave_up;
      continue;
    }
    SimulatedJob undisturbed = job;
    undisturbed.mtbf = 0, undisturbed.checkpoint_interval = 0;
    const SimulatedRun without = simulate_cluster(undisturbed, s.seed, uint32_t(run));
    point.efficiency += with.efficiency();
    point.wall_hours += with.wall_seconds / 3600;
    point.node_hours += with.allocated / teams / 3600;
    point.failures += double(with.failures);
    point.failure_cost += with.allocated / without.allocated - 1;
    point.lost += with.lost / with.allocated, point.checkpointing += with.checkpointing / with.allocated;
    point.starting += with.starting / with.allocated, point.idle += with.idle / with.allocated;
  }
  if (const int ended = s.runs - point.gave_up; ended > 0)
    for (double* mean : {&point.efficiency, &point.wall_hours, &point.node_hours, &point.failures, &point.failure_cost, &point.lost,
                         &point.checkpointing, &point.starting, &point.idle})
      *mean /= ended;
  return point;
}

Json json_of(const std::vector<SimulatedPoint>& points, const SimulateSettings& s) {
  Json json{{"version", version_json()}, {"settings", to_json(s)}, {"points", Json::array()}};
  for (const SimulatedPoint& p : points)
    json["points"].push_back({{"nodes", p.nodes}, {"interval", p.interval}, {"efficiency", p.efficiency}, {"wall_hours", p.wall_hours},
                              {"node_hours", p.node_hours}, {"failures", p.failures}, {"failure_cost", p.failure_cost}, {"lost", p.lost},
                              {"checkpointing", p.checkpointing}, {"starting", p.starting}, {"idle", p.idle}, {"gave_up", p.gave_up}});
  return json;
}

void print(const std::vector<SimulatedPoint>& points, const SimulateSettings& s) {
  std::printf("%6s %10s %11s %10s %12s %9s %13s %8s %12s %9s %7s\n", "nodes", "checkpoint", "efficiency", "hours", "node-hours", "failures",
              "their cost", "lost", "checkpoints", "starting", "idle");
  for (const SimulatedPoint& p : points) {
    if (p.gave_up == s.runs) {
      std::printf("%6d %10s   does not end: failures come sooner than videos\n", p.nodes, p.interval.c_str());
      continue;
    }
    std::printf("%6d %10s %9.1f %% %10.2f %12.1f %9.1f %11.2f %% %6.2f %% %10.2f %% %7.2f %% %5.1f %%%s\n", p.nodes, p.interval.c_str(),
                100 * p.efficiency, p.wall_hours, p.node_hours, p.failures, 100 * p.failure_cost, 100 * p.lost, 100 * p.checkpointing,
                100 * p.starting, 100 * p.idle,
                p.gave_up ? concat("  (", p.gave_up, " of ", counted(s.runs, "run"), " did not end)").c_str() : "");
  }
  if (s.mtbf > 0 && s.checkpoint_seconds > 0)
    std::printf("\nby Young's rule a checkpoint each %.0f s on one node, %.0f s on 1024\n", young_interval(s.checkpoint_seconds, 3600 * s.mtbf),
                young_interval(s.checkpoint_seconds, 3600 * s.mtbf / 1024));
}

LineChart chart_of(const std::vector<SimulatedPoint>& points, const SimulateSettings& s, const char* title, const char* y_label,
                   double SimulatedPoint::*member) {
  LineChart chart{.title = title, .x_label = "nodes", .y_label = y_label, .log_x = true};
  for (const std::string& interval : s.intervals) {
    ChartSeries series{interval == "never" ? "no checkpoints" : "every " + interval + " s"};
    for (const SimulatedPoint& p : points)
      if (p.interval == interval && p.gave_up < s.runs) series.x.push_back(p.nodes), series.y.push_back(100 * p.*member);
    if (!series.x.empty()) chart.series.push_back(series);
  }
  return chart;
}

void write(const std::vector<SimulatedPoint>& points, const SimulateSettings& s) {
  make_folder(s.output);
  write_atomically(s.output / "simulation.json", json_of(points, s).dump(1) + "\n");
  const auto draw = [&](const char* file, const char* title, const char* y_label, double SimulatedPoint::*member) {
    write_atomically(s.output / file, line_chart_svg(chart_of(points, s, title, y_label, member)));
  };
  draw("efficiency.svg", "What of the allocation becomes videos", "efficiency, %", &SimulatedPoint::efficiency);
  draw("failures.svg", "What failures cost", "node-hours more than without failures and checkpoints, %", &SimulatedPoint::failure_cost);
}

}  // namespace

int simulate(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast simulate --plan FILE [settings]\n       pyracast simulate --videos N --seconds S [settings]\n\n%s",
                describe(settings_of<SimulateSettings>()).c_str());
    return 0;
  }
  const auto settings = read_config<SimulateSettings>(argc, argv);
  require(settings.mtbf >= 0, "mtbf is ", settings.mtbf, ", expected 0 (none fails) or more hours");
  require(settings.runs >= 1, "runs is ", settings.runs, ", expected 1 or more");
  require(!settings.nodes.empty() && !settings.intervals.empty(), "nodes and intervals must not be empty");
  const SimulatedJob job = job_of(settings);
  std::vector<SimulatedPoint> points;
  for (const std::string& nodes : settings.nodes)
    for (const std::string& interval : settings.intervals) {
      const double count = number_of(nodes, "nodes", false);
      require(count <= 1 << 16, "nodes holds ", nodes, ", expected at most ", 1 << 16);
      points.push_back(point_of(job, settings, int(count), interval));
    }
  if (!settings.output.empty()) write(points, settings);
  if (settings.json) std::printf("%s\n", json_of(points, settings).dump(1).c_str());
  else print(points, settings);
  return 0;
}

}  // namespace pyracast
