#include "plan/job_plan.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/counted.hpp"
#include "base/error.hpp"

namespace pyracast {

namespace {

// What no measurement of minutes sees is judged: machines drift; a line through two sizes says less the farther one goes; one rank's
// costs say little of how a team waits for its slowest rank.
constexpr double error_of_drift = 0.05, error_a_doubling = 0.1, error_of_estimate = 0.25;
// Other prompts move more or less than those that were measured, and are longer or shorter.
constexpr double error_of_content = 0.1;

/// Of a team for one video in the mean, without its text.
double mean_making_seconds(const MakingCosts& costs, const TeamDemand& demand) {
  return (1 - demand.audited) * making_seconds(costs, demand.work, demand.beside) +
         demand.audited * making_seconds(costs, sum(demand.work, demand.audit), Beside::nothing);
}

double error_of(const Machine::Costs& costs, const VideoWork& work) {
  double doublings = 0;
  if (const double products = multiply_adds(work); products > 0 && costs.costs.most_work > 0 && costs.costs.least_work > 0)
    doublings = std::max({0.0, std::log2(products / costs.costs.most_work), std::log2(costs.costs.least_work / products)});
  return error_of_drift + costs.costs.error + error_a_doubling * doublings + (costs.measured ? 0 : error_of_estimate);
}

TeamCandidate candidate(const VideoShape& shape, const Machine& machine, TeamLayout layout, const PlanWishes& wishes, const AskTeam& ask) {
  TeamDemand demand = ask(shape, layout);
  TeamCandidate found{.layout = layout, .obstacle = demand.refusal};
  if (!found.obstacle.empty()) return found;
  const Machine::Costs costs = machine.costs_of(layout);
  const int teams = machine.ranks_per_node / layout.ranks;
  const size_t text = size_t(MakingPhase::text);
  found.seconds = costs.costs.phases[text].of(demand.work[text]) + mean_making_seconds(costs.costs.phases, demand);
  found.latency = latency_seconds(costs.costs.phases, demand.work) + demand.audited * latency_seconds(costs.costs.phases, demand.audit);
  found.videos_per_hour = found.seconds > 0 ? 3600 * teams / found.seconds : 0;
  const bool on_gpus = machine.gpus_per_rank > 0;   // each of a rank's own
  const auto fits_gpus = [&](const auto& bytes) {
    const int64_t most = std::max({bytes.first_bytes, layout.ranks > 1 ? bytes.other_bytes : 0, demand.text_bytes});
    return machine.memory_per_gpu <= 0 || most <= machine.memory_per_gpu;
  };
  if (on_gpus && demand.offloaded && demand.may_offload && !fits_gpus(demand))
    std::tie(demand.first_bytes, demand.other_bytes, demand.host_bytes) =
        std::tie(demand.offloaded->first_bytes, demand.offloaded->other_bytes, demand.offloaded->host_bytes);
  found.first_bytes = demand.first_bytes;
  found.other_bytes = layout.ranks > 1 ? demand.other_bytes : 0;
  found.node_bytes = std::max(demand.once_bytes + teams * (demand.first_bytes + (layout.ranks - 1) * demand.other_bytes),
                              demand.text_once_bytes + teams * layout.ranks * demand.text_bytes);
  found.host_bytes = teams * demand.host_bytes;
  found.measured = costs.measured;
  found.error = error_of(costs, demand.work);
  const std::string of_teams = counted(teams, "team");
  if (on_gpus && !fits_gpus(demand)) {
    const int64_t most = std::max({found.first_bytes, found.other_bytes, demand.text_bytes});
    found.obstacle = concat("the tensors of a rank take ", most, " bytes, and a GPU has ", machine.memory_per_gpu);
    if (!demand.may_offload && demand.offloaded && fits_gpus(*demand.offloaded)) found.obstacle += ": use --stored-outputs auto";
  } else if (on_gpus && machine.memory_per_node > 0 && found.host_bytes > machine.memory_per_node)
    found.obstacle = concat("stored outputs of ", of_teams, " take ", found.host_bytes, " bytes of the host's memory, and a node has ",
                            machine.memory_per_node);
  else if (!on_gpus && machine.memory_per_node > 0 && found.node_bytes > machine.memory_per_node)
    found.obstacle = concat("the tensors of ", of_teams, " take ", found.node_bytes, " bytes, and a node has ", machine.memory_per_node);
  else if (wishes.latency && found.latency > *wishes.latency)
    found.obstacle = concat("a video takes ", found.latency, " s, and ", *wishes.latency, " s are wished for");
  else if (!found.measured && layout.ranks > 1 && machine.exchange_rate <= 0)
    found.obstacle = "nothing is known of such teams: they were not measured, and the machine's all_to_all has no rate";
  else if (wishes.ranks > 0 && wishes.ranks != layout.ranks)
    found.obstacle = concat("ranks-per-video is ", wishes.ranks);
  else if (wishes.halves_only && !layout.cfg_parallel)
    found.obstacle = "cfg-parallel is asked for";
  return found;
}

/// The job with teams of this layout.
struct LayoutJob {
  std::vector<WorkGroup> list;
  double seconds = 0;   ///< of the list on all teams
};

LayoutJob job_with(TeamLayout layout, const std::vector<BucketPlan>& plans, const Machine& machine, int nodes,
                   const std::map<VideoShape, TeamDemand>& demands) {
  const MakingCosts costs = machine.costs_of(layout).costs.phases;
  std::vector<Bucket> buckets;
  for (const BucketPlan& plan : plans) buckets.push_back(plan.bucket);
  const auto seconds = [&](const VideoShape& shape, int samples) {
    const TeamDemand& demand = demands.at(shape);
    return costs[size_t(MakingPhase::text)].of(demand.work[size_t(MakingPhase::text)]) + samples * mean_making_seconds(costs, demand);
  };
  LayoutJob job{queue_of(buckets, seconds)};
  job.seconds = makespan(job.list, size_t(nodes) * size_t(machine.ranks_per_node / layout.ranks));
  return job;
}

}  // namespace

std::string name_of(const VideoShape& shape) {
  return concat(shape.height, " x ", shape.width, ", ", counted(shape.frames, "frame"), ", ", counted(shape.steps, "step"),
                shape.clips > 1 ? concat(", ", shape.clips, " clips") : "");
}

uint64_t Bucket::samples() const {
  uint64_t all = 0;
  for (const auto& [samples, count] : prompts) all += uint64_t(samples) * count;
  return all;
}

const TeamCandidate* BucketPlan::best() const {
  const TeamCandidate* found = nullptr;
  for (const TeamCandidate& candidate : candidates)
    if (candidate.obstacle.empty() && (!found || candidate.videos_per_hour > found->videos_per_hour)) found = &candidate;
  return found;
}

const TeamCandidate* BucketPlan::of(TeamLayout layout) const {
  const auto found = std::find_if(candidates.begin(), candidates.end(), [&](const TeamCandidate& c) { return c.layout == layout; });
  return found == candidates.end() ? nullptr : &*found;
}

BucketPlan plan_bucket(const Bucket& bucket, const Machine& machine, const PlanWishes& wishes, const AskTeam& ask) {
  BucketPlan plan{bucket, {}};
  for (const TeamLayout layout : layouts_of(machine.ranks_per_node)) plan.candidates.push_back(candidate(bucket.shape, machine, layout, wishes, ask));
  return plan;
}

std::vector<WorkGroup> queue_of(const std::vector<Bucket>& buckets, const std::function<double(const VideoShape&, int samples)>& seconds,
                                int most_samples) {
  struct Prompts {
    const Bucket* bucket;
    int samples;
    uint64_t count;
    double cost() const { return bucket->shape.cost() * samples; }
  };
  std::vector<Prompts> all;
  for (const Bucket& bucket : buckets)
    for (const auto& [samples, count] : bucket.prompts) all.push_back({&bucket, samples, count});
  std::stable_sort(all.begin(), all.end(), [](const Prompts& a, const Prompts& b) { return a.cost() > b.cost(); });
  std::vector<WorkGroup> list;
  for (const Prompts& prompts : all) {
    const VideoShape& shape = prompts.bucket->shape;
    if (const int full = prompts.samples / most_samples) list.push_back({seconds(shape, most_samples), prompts.count * uint64_t(full)});
    if (const int rest = prompts.samples % most_samples) list.push_back({seconds(shape, rest), prompts.count});
  }
  return list;
}

JobPlan plan_job(const std::vector<Bucket>& buckets, const Machine& machine, int nodes, const PlanWishes& wishes, const AskTeam& ask) {
  require(!buckets.empty(), "there is nothing to plan");
  std::map<TeamLayout, std::map<VideoShape, TeamDemand>> demands;
  const AskTeam remembered = [&](const VideoShape& shape, TeamLayout layout) { return demands[layout][shape] = ask(shape, layout); };
  JobPlan plan;
  plan.nodes = nodes;
  for (const Bucket& bucket : buckets) plan.buckets.push_back(plan_bucket(bucket, machine, wishes, remembered));
  std::stable_sort(plan.buckets.begin(), plan.buckets.end(),
                   [](const BucketPlan& a, const BucketPlan& b) { return a.bucket.shape.cost() > b.bucket.shape.cost(); });

  std::optional<LayoutJob> best;
  std::string obstacles;
  for (const TeamLayout layout : layouts_of(machine.ranks_per_node)) {
    const auto blocked = std::find_if(plan.buckets.begin(), plan.buckets.end(), [&](const BucketPlan& b) { return !b.of(layout)->obstacle.empty(); });
    if (blocked != plan.buckets.end()) {
      obstacles += concat("\n  ", name_of(layout), ": ", name_of(blocked->bucket.shape), ": ", blocked->of(layout)->obstacle);
      continue;
    }
    LayoutJob job = job_with(layout, plan.buckets, machine, nodes, demands[layout]);
    if (best && best->seconds <= job.seconds) continue;
    best = std::move(job);
    plan.layout = layout;
  }
  require(best.has_value(), "no team of this machine can make the whole manifest:", obstacles);

  const LayoutCosts costs = machine.costs_of(plan.layout).costs;
  plan.list = best->list;
  plan.start_up = costs.start_up;
  const auto evaluations = [&](const VideoShape& shape) { return demands[plan.layout][shape].work[size_t(MakingPhase::other)].calls; };
  double all_seconds = 0, error_seconds = 0, tail = 0;
  for (const BucketPlan& bucket : plan.buckets) {
    const TeamCandidate& chosen = *bucket.of(plan.layout);
    const double videos = double(bucket.bucket.samples()), seconds = videos * chosen.seconds;
    plan.videos += bucket.bucket.samples();
    all_seconds += seconds;
    error_seconds += seconds * chosen.error;
    tail = std::max(tail, chosen.latency - chosen.seconds);
    plan.video_bytes += videos * machine.video_bytes.of({1, bucket.bucket.shape.pixels()});
    plan.shard_bytes += videos * machine.shard_bytes.of({1, evaluations(bucket.bucket.shape)});
    plan.first_bytes = std::max(plan.first_bytes, chosen.first_bytes);
    plan.other_bytes = std::max(plan.other_bytes, chosen.other_bytes);
    plan.node_bytes = std::max(plan.node_bytes, chosen.node_bytes);
    plan.host_bytes = std::max(plan.host_bytes, chosen.host_bytes);
  }
  plan.bytes_error = error_of_content + 2 * machine.video_bytes_spread / std::sqrt(double(std::max<uint64_t>(plan.videos, 1)));
  plan.shard_bytes_error = error_of_content;
  plan.wall_seconds = plan.start_up + best->seconds + std::max(0.0, tail);
  plan.error = (all_seconds > 0 ? error_seconds / all_seconds : 0) + 2 * costs.spread / std::sqrt(double(std::max<uint64_t>(plan.videos, 1)));
  return plan;
}

}  // namespace pyracast
