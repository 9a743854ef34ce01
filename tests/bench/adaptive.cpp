// What reuse that is decided while a video is made would give, beside schedules that are known beforehand: an evaluation reuses the outputs
// of all branches as long as what enters the first block's attention, normalised and modulated, has changed by less than a threshold
// since the last evaluation that computed (|now - then|_1 / |then|_1, the measure of Liu et al., arXiv 2411.19108, not fitted to
// outputs); the first and the last evaluation compute. Open-Sora only.
//   [mpirun -n RANKS] adaptive_bench --config FILE --prompts FILE --samples N --thresholds 0.02,0.05 --against FILE,FILE
// All ranks make a video together, and decide by one small reduction: each sees the change of its own tokens.
// Such a video is found by making it anew for each evaluation that reuses, with everything behind it computed. Prints a line a
// threshold and a line a file: cost of denoising (counted computations at the median seconds of each branch), without that of
// deciding, and |latents - reference|^2 / |reference|^2 against everything computed, mean over samples.
#include <algorithm>
#include <cstdio>

#include "base/median.hpp"
#include "calibration/calibration.hpp"
#include "metrics/video_drift.hpp"
#include "runtime/device.hpp"
#include "runtime/node_weights.hpp"
#include "runtime/on_ranks.hpp"
#include "settings/profile_settings.hpp"
#include "tune/schedule_file.hpp"

namespace pyracast {
namespace {

struct BenchSettings : SettingsOfSamples {
  std::vector<std::string> thresholds;
  std::vector<std::filesystem::path> against;

  template <class Visit>
  static void fields(Visit&& visit, BenchSettings& s) {
    SettingsOfSamples::fields(visit, s, "Bench", "the first so many samples of the manifest; 0: all");
    visit("Bench", "thresholds", s.thresholds, "relative changes below which an evaluation reuses (comma between)");
    visit("Bench", "against", s.against, "broadcast files (comma between)");
  }
};

/// Of the tokens of all ranks.
double relative_change(Communicator& team, const std::vector<float>& then, const std::vector<float>& now) {
  double own[2] = {};
  for (size_t i = 0; i < then.size(); ++i) {
    own[0] += std::abs(double(now[i]) - double(then[i]));
    own[1] += std::abs(double(then[i]));
  }
  std::vector<double> all(2 * size_t(team.size()));
  team.all_gather({own, DType::float64, {2}}, {all.data(), DType::float64, {int64_t(all.size())}}, std::vector<int64_t>(size_t(team.size()), 2));
  double off = 0, size = 0;
  for (size_t rank = 0; rank < all.size(); rank += 2) {
    off += all[rank];
    size += all[rank + 1];
  }
  return off / size;
}

class Bench {
 public:
  Bench(const GenerateSettings& settings, const std::vector<SampleToMeasure>& samples, VideoPipeline& pipeline, Communicator& team)
      : settings_(settings), samples_(samples), pipeline_(pipeline), team_(team) {
    std::array<std::vector<double>, branch_count> branches;
    std::vector<double> rest;
    for (const SampleToMeasure& sample : samples) {
      const VideoResult everything = made(sample, {}, {});
      for (const EvaluationCost& cost : everything.evaluations) {
        for (size_t branch = 0; branch < branch_count; ++branch) branches[branch].push_back(cost.branches[branch] / double(cost.computed[branch]));
        rest.push_back(cost.other);
      }
      references_.push_back(everything.latents);
    }
    for (size_t branch = 0; branch < branch_count; ++branch) costs_.branches[branch] = median(branches[branch]);
    costs_.evaluation = median(rest);
  }

  void adaptive(double threshold) const {
    std::vector<double> costs, errors;
    for (size_t i = 0; i < samples_.size(); ++i) {
      const int steps = samples_[i].request.steps;
      std::vector<int> reused;
      Seen seen = see(samples_[i], reused);
      int last = 0;
      for (int e = 1; e < steps - 1; ++e) {
        if (relative_change(team_, seen.inputs[size_t(last)], seen.inputs[size_t(e)]) >= threshold) {
          last = e;
          continue;
        }
        reused.push_back(e);
        seen = see(samples_[i], reused);
      }
      costs.push_back(cost(samples_[i], policy(reused, steps)));
      errors.push_back(error(i, seen.latents));
    }
    print(concat("adaptive, below ", threshold), costs, errors);
  }

  void file(const std::filesystem::path& name) const {
    const BroadcastPolicy policy(read_json(name), name.string());
    std::vector<double> costs, errors;
    for (size_t i = 0; i < samples_.size(); ++i) {
      costs.push_back(cost(samples_[i], policy));
      errors.push_back(error(i, made(samples_[i], policy, {}).latents));
    }
    print(name.stem().string(), costs, errors);
  }

 private:
  const GenerateSettings& settings_;
  const std::vector<SampleToMeasure>& samples_;
  VideoPipeline& pipeline_;
  Communicator& team_;
  std::vector<std::vector<float>> references_;
  BranchCosts costs_;

  /// Of one video: what entered the first block's attention, by evaluation (of one that reused: nothing), and the final latents.
  struct Seen {
    std::vector<std::vector<float>> inputs;
    std::vector<float> latents;
  };

  VideoResult made(const SampleToMeasure& sample, const BroadcastPolicy& policy, const Observer& observe) const {
    auto result =
        denoise_sample(settings_, sample, {.steps = sample.request.steps, .broadcast = policy, .observe = observe, .team = &team_}, pipeline_);
    if (!result) throw AskedToStop();
    return *std::move(result);
  }

  Seen see(const SampleToMeasure& sample, const std::vector<int>& reused) const {
    Seen seen;
    const Observer observe([&](const std::string& name, const Tensor& value) {
      if (!name.ends_with("network.spatial_blocks.0.modulated")) return;
      while (std::count(reused.begin(), reused.end(), int(seen.inputs.size()))) seen.inputs.emplace_back();
      seen.inputs.push_back(value.to_host());
    });
    seen.latents = made(sample, policy(reused, sample.request.steps), observe).latents;
    require(int(seen.inputs.size()) == sample.request.steps, "the network of this model does not show what enters its first block");
    return seen;
  }

  BroadcastPolicy policy(const std::vector<int>& reused, int steps) const {
    if (reused.empty()) return {};
    const std::vector<SiteGroup> groups = site_groups(pipeline_.blocks(), 1);
    ReuseTable table = all_computed(groups.size(), steps);
    for (std::vector<bool>& row : table)
      for (const int e : reused) row[size_t(e)] = true;
    return BroadcastPolicy(schedule_json(table, groups, pipeline_.blocks()), "what was decided");
  }

  double cost(const SampleToMeasure& sample, const BroadcastPolicy& policy) const {
    const BroadcastSchedule schedule = pipeline_.schedule(sample.request, policy);
    return costs_.of(schedule) / costs_.of(BroadcastSchedule(schedule.evaluations(), schedule.blocks()));
  }

  double error(size_t sample, const std::vector<float>& latents) const { return relative_mse(references_[sample], latents).value(); }

  void print(const std::string& name, const std::vector<double>& costs, const std::vector<double>& errors) const {
    if (team_.rank() > 0) return;
    const auto mean = [](const std::vector<double>& values) {
      double sum = 0;
      for (const double value : values) sum += value;
      return sum / double(values.size());
    };
    std::printf("| %s | %.1f %% (%.1f - %.1f) | %.2e |\n", name.c_str(), 100 * mean(costs), 100 * *std::min_element(costs.begin(), costs.end()),
                100 * *std::max_element(costs.begin(), costs.end()), mean(errors));
    std::fflush(stdout);
  }
};

ExitCode run(const Ranks& ranks, const BenchSettings& settings) {
  const auto model = find_model(settings.generate.model);
  const auto samples = samples_of(settings.generate, settings.samples, VideoRequests(settings.generate, *model));
  set_threads(settings.generate.model.threads, ranks);
  const auto backend = open_device(settings.generate.model, ranks);
  const Team team = split_into_teams(ranks, ranks.size());
  const TeamChannels channels =
      open_channels(team, false, settings.generate.collective_timeout, transport_of("auto", settings.generate.model.device, team.size), *backend);
  const auto pipeline = open_on_nodes(ranks, *model, settings.generate.model, *backend, channels);
  try {
    const Bench bench(settings.generate, samples, *pipeline, channels.for_numbers());
    if (team.leads()) std::printf("| %zu samples | cost (least - most) | latents, relative MSE |\n|---|---|---|\n", samples.size());
    for (const std::string& threshold : settings.thresholds) bench.adaptive(std::stod(threshold));
    for (const std::filesystem::path& file : settings.against) bench.file(file);
  } catch (const AskedToStop&) {
    return ExitCode::more_to_do;
  }
  return ExitCode::complete;
}

}  // namespace
}  // namespace pyracast

int main(int argc, char** argv) {
  return pyracast::on_ranks<pyracast::BenchSettings>(argc, argv, [](const pyracast::BenchSettings&) { return 3600.; }, pyracast::run);
}
