#include "plan/cluster_simulation.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

#include "base/error.hpp"
#include "base/philox.hpp"

namespace pyracast {

namespace {

constexpr double never = std::numeric_limits<double>::infinity();
constexpr uint64_t most_starts = 100000;

/// Random numbers by what they are for: none depends on how many of the others were drawn.
class Draws {
 public:
  Draws(uint64_t seed, uint32_t run, uint32_t nodes) : key_{uint32_t(seed), uint32_t(seed >> 32)}, run_(run), nodes_(nodes) {}

  double exponential(double mean, uint32_t index) const {
    const uint32_t word = words(0, index)[0];
    return -mean * std::log((double(word) + 0.5) * 0x1p-32);
  }
  double normal(uint32_t index) const {
    const PhiloxCounter two = words(1, index);
    return double(normal_pair(two[0], two[1])[0]);
  }

 private:
  PhiloxKey key_;
  uint32_t run_, nodes_;
  PhiloxCounter words(uint32_t purpose, uint32_t index) const { return philox4x32({index, purpose, run_, nodes_}, key_); }
};

/// What is left to be made, in order.
class Videos {
 public:
  explicit Videos(const std::vector<WorkGroup>& list) : list_(list) { skip_empty(); }
  bool none() const { return begun_.empty() && group_ == list_.size(); }
  /// Seconds of the next one on a node of mean speed.
  double take() {
    if (!begun_.empty()) {
      const double seconds = begun_.front();
      begun_.pop_front();
      return seconds;
    }
    const double seconds = list_[group_].seconds;
    ++taken_;
    skip_empty();
    return seconds;
  }
  void give_back(double seconds) { begun_.push_back(seconds); }
  /// How many that come next are alike; take() gives the seconds of each.
  uint64_t alike() const { return begun_.empty() && group_ < list_.size() ? list_[group_].count - taken_ : 0; }
  double seconds_alike() const { return list_[group_].seconds; }
  void take_alike(uint64_t count) {
    taken_ += count;
    skip_empty();
  }

 private:
  const std::vector<WorkGroup>& list_;
  size_t group_ = 0;
  uint64_t taken_ = 0;
  std::deque<double> begun_;
  void skip_empty() {
    for (; group_ < list_.size() && taken_ == list_[group_].count; ++group_) taken_ = 0;
  }
};

class Simulation {
 public:
  Simulation(const SimulatedJob& job, const Draws& draws) : job_(job), videos_(job.list) {
    double speed = 0;
    for (int node = 0; node < job.nodes; ++node) {
      slowness_.push_back(std::exp(job.spread * draws.normal(uint32_t(node))));
      speed += 1 / slowness_.back() / job.nodes;
    }
    for (double& slowness : slowness_) slowness *= speed;
    for (const WorkGroup& group : job.list) run_.useful += group.seconds * double(group.count);
  }

  SimulatedRun operator()(const Draws& draws) {
    while (!videos_.none()) {
      if (run_.starts == most_starts) {
        run_.ended = false;
        break;
      }
      const double until_failure = job_.mtbf > 0 ? draws.exponential(job_.mtbf / job_.nodes, uint32_t(run_.starts)) : never;
      start(until_failure);
    }
    run_.allocated = run_.computing + run_.checkpointing + run_.lost + run_.starting + run_.idle;
    return run_;
  }

 private:
  const SimulatedJob& job_;
  Videos videos_;
  std::vector<double> slowness_;   // [nodes]: seconds over those of a node of mean speed
  SimulatedRun run_;

  struct Free {
    double time;                   // when
    size_t team;                   // which
  };
  static bool later(const Free& one, const Free& other) { return std::pair(one.time, one.team) > std::pair(other.time, other.team); }
  static constexpr uint64_t many = 8;   // videos a team that are worth counting

  double slowness_of(size_t team) const { return slowness_[team / size_t(job_.teams_per_node)]; }
  /// Seconds of computing a video, and of writing its checkpoints.
  std::pair<double, double> taken_by(size_t team, double work) const {
    const double seconds = work * slowness_of(team);
    return {seconds, checkpoints_of(seconds) * job_.checkpoint_seconds};
  }
  size_t teams() const { return slowness_.size() * size_t(job_.teams_per_node); }
  double checkpoints_of(double seconds) const {
    return job_.checkpoint_interval > 0 ? std::max(0.0, std::ceil(seconds / job_.checkpoint_interval) - 1) : 0;
  }

  /// The job from one beginning to its end: by a failure, by its allocation, or because nothing is left.
  void start(double until_failure) {
    if (run_.starts++ > 0) run_.wall_seconds += job_.requeue_delay;
    const bool fails = until_failure < (job_.allocation > 0 ? job_.allocation : never);
    const double horizon = fails ? until_failure : job_.allocation > 0 ? job_.allocation : never;
    run_.starting += double(teams()) * std::min(job_.start_up, horizon);
    if (horizon <= job_.start_up) return end(horizon, fails);
    std::vector<Free> free;                   // a heap: the team that is free first is at the front
    for (size_t team = 0; team < teams(); ++team) free.push_back({job_.start_up, team});
    std::vector<double> left;                 // of videos that the horizon has cut
    double last = job_.start_up;
    size_t cut = 0;
    bool dealt = false;                       // all that end before the horizon
    while (!videos_.none() && cut < teams() && free.front().time < horizon) {
      if (!dealt && videos_.alike() > many * teams() && videos_.seconds_alike() > 0) {
        dealt = deal_alike(free, horizon, last);
        continue;
      }
      std::pop_heap(free.begin(), free.end(), later);
      auto& [begin, team] = free.back();
      const double work = videos_.take();
      const auto [seconds, writing] = taken_by(team, work);
      const double finish = begin + seconds + writing;
      if (finish <= horizon) {
        run_.computing += seconds;
        run_.checkpointing += writing;
        last = std::max(last, finish);
        begin = finish;
      } else {
        left.push_back(work - kept(seconds, horizon - begin, fails) / slowness_of(team));
        begin = horizon;
        ++cut;
      }
      std::push_heap(free.begin(), free.end(), later);
    }
    for (const double work : left) videos_.give_back(work);
    const double stop = videos_.none() ? last : horizon;
    for (const Free& each : free) run_.idle += stop - each.time;
    end(stop, fails && !videos_.none());
  }

  /// Deals out the videos that come next and are alike, of which each team begins one whenever it is free, by counting them. What is left to be
  /// dealt out one by one are fewer than two a team, or (then it gives true) none that a team would end before the horizon.
  bool deal_alike(std::vector<Free>& free, double horizon, double& last) {
    const double work = videos_.seconds_alike();
    const uint64_t all = videos_.alike();
    std::vector<double> each;                 // [free]: seconds of a video
    for (const Free& team : free) each.push_back(taken_by(team.team, work).first + taken_by(team.team, work).second);
    const auto begun = [&](size_t i, double until) { return std::max(0.0, std::ceil((until - free[i].time) / each[i])); };
    const auto begun_by_all = [&](double until) {
      double count = 0;
      for (size_t i = 0; i < free.size(); ++i) count += begun(i, until);
      return count;
    };
    double early = free.front().time, late = std::min(horizon, free.front().time + (double(all) + 1) * each[0]);
    const bool all_fit_behind = begun_by_all(late) <= double(all);
    for (int halvings = 0; halvings < 60 && !all_fit_behind; ++halvings) {
      const double middle = early + (late - early) / 2;
      (begun_by_all(middle) <= double(all) ? early : late) = middle;
    }
    const double until = all_fit_behind ? late : early;
    uint64_t taken = 0;
    for (size_t i = 0; i < free.size(); ++i) {
      const double count = std::min(begun(i, until), std::max(0.0, std::floor((horizon - free[i].time) / each[i])));
      const auto [seconds, writing] = taken_by(free[i].team, work);
      run_.computing += count * seconds;
      run_.checkpointing += count * writing;
      free[i].time += count * each[i];
      if (count > 0) last = std::max(last, free[i].time);
      taken += uint64_t(count);
    }
    videos_.take_alike(taken);
    std::make_heap(free.begin(), free.end(), later);
    return all_fit_behind;
  }

  /// Of `seconds` of computing, cut off after `elapsed`, those that need not be done again.
  double kept(double seconds, double elapsed, bool fails) {
    const double interval = job_.checkpoint_interval, written = interval > 0 ? std::floor(elapsed / (interval + job_.checkpoint_seconds)) : 0;
    const double rest = elapsed - written * (interval + job_.checkpoint_seconds);
    const double saved = std::min(seconds, written * (interval > 0 ? interval : 0) + (fails ? 0 : interval > 0 ? std::min(rest, interval) : rest));
    const double writing = interval > 0 ? written * job_.checkpoint_seconds + (fails ? 0 : std::max(0.0, rest - interval)) : 0;
    run_.computing += saved;
    run_.checkpointing += writing;
    run_.lost += elapsed - saved - writing;
    return saved;
  }

  void end(double at, bool failed) {
    run_.wall_seconds += at;
    run_.failures += failed;
  }
};

}  // namespace

SimulatedRun simulate_cluster(const SimulatedJob& job, uint64_t seed, uint32_t run) {
  require(job.nodes >= 1 && job.teams_per_node >= 1, "a job of ", job.nodes, " nodes with ", job.teams_per_node,
          " teams each: expected 1 or more of both");
  for (const auto& [name, seconds] : {std::pair{"start-up", job.start_up}, {"the time between failures", job.mtbf}, {"the spread", job.spread},
                                      {"the checkpoint interval", job.checkpoint_interval}, {"a checkpoint", job.checkpoint_seconds},
                                      {"the requeue delay", job.requeue_delay}, {"the allocation", job.allocation}})
    require(std::isfinite(seconds) && seconds >= 0, name, " is ", seconds, ", expected 0 or more");
  require(job.allocation == 0 || job.allocation > job.start_up, "the allocation is ", job.allocation, " s, of which the job needs ", job.start_up,
          " to start: no video would be made");
  const Draws draws(seed, run, uint32_t(job.nodes));
  return Simulation(job, draws)(draws);
}

double young_interval(double checkpoint_seconds, double mtbf) { return std::sqrt(2 * checkpoint_seconds * mtbf); }

}  // namespace pyracast
