// `pyracast tune`: searches the static broadcast schedule that errs least for its cost.
#include <cmath>
#include <cstdio>

#include "base/file.hpp"
#include "calibration/tuned_schedules.hpp"
#include "dataset/layout.hpp"
#include "jobs/jobs.hpp"
#include "production/fingerprint.hpp"
#include "production/memory_check.hpp"
#include "report/line_chart.hpp"
#include "runtime/device.hpp"
#include "runtime/node_weights.hpp"
#include "runtime/on_ranks.hpp"
#include "runtime/version.hpp"
#include "settings/presets.hpp"

namespace pyracast {

namespace {

/// How often the network is evaluated for such a video.
int evaluations_of(const VideoModel& model, const ModelSettings& settings, const VideoRequest& request) {
  PlanningBackend backend(planned_device(settings));
  const TeamChannels alone = planning_channels(0, 1, false, {});
  return int(model.open(backend, weight_storage(settings), alone)->timesteps(request).size());
}

/// Everything that can be wrong before anything is computed, a missing gnuplot included.
void check_settings(const TuneSettings& settings) {
  const GenerateSettings& s = settings.generate;
  check_settings_of_samples(settings, "calibrate with");
  require(!settings.budget || (*settings.budget > 0 && *settings.budget <= 1), "budget is ", settings.budget.value_or(0),
          ", expected a share of the whole cost, more than 0 and at most 1");
  require(!settings.error || *settings.error > 0, "error is ", settings.error.value_or(0), ", expected more than 0");
  require(settings.block_groups > 0, "block-groups is ", settings.block_groups, ", expected 1 or more");
  require(settings.rounds > 0, "rounds is ", settings.rounds, ", expected 1 or more: a schedule is not written unmeasured");
  require(settings.stored.empty() || settings.stored == "gated" || settings.stored == "ungated", "stored is \"", settings.stored,
          "\", expected gated or ungated");
  require(s.model.model != "null", "model is \"null\", which has no branches to reuse");
  const auto model = find_model(s.model);
  const auto samples = samples_of(s, settings.samples, VideoRequests(s, *model));
  require(evaluations_of(*model, s.model, samples.front().request) == samples.front().request.steps,
          "this sampler evaluates the network more often than it has steps, and a table of reuse fits only where both are as many");
  for (const int steps : steps_to_tune(settings, samples.front().request.steps)) {
    VideoRequest request = samples.front().request;
    request.steps = steps;
    if (const auto refusal = model->refusal(request)) fail("steps-candidates: ", *refusal);
  }
  for (const std::filesystem::path& given : settings.against) {
    const BroadcastPolicy policy = broadcast_policy(given);
    if (const std::string why = policy.refusal(samples.front().request.steps); !why.empty()) fail(why);
  }
  if (!settings.costs.empty()) read_costs(settings.costs);
  open_device(s.model);
  line_chart_svg({.series = {{"any", {0, 1}, {0, 1}}}});
}

void write_results(const TuneSettings& settings, const TunedSchedules& found, const Json& content) {
  const std::filesystem::path& output = settings.generate.output;
  make_folder(output);
  for (const auto& [name, schedule] : found.schedules()) write_atomically(output / name, schedule_text(schedule, provenance_of(settings, content)));
  Json json{{"version", version_json()}, {"settings", to_json(settings)}, {"content", content}, {"costs", to_json(found.costs())}};
  json.update(tuning_json(found.tuning()));
  write_atomically(output / "tune.json", json.dump(1) + "\n");
  write_atomically(output / "front.svg", line_chart_svg(tuning_chart(found.tuning())));
  std::printf("%s\nschedules, tune.json and front.svg are in %s\n", tuning_table(found.tuning()).c_str(), output.c_str());
}

/// Schedules of which one stores as much as any that the search runs: all outputs are reused behind the first evaluation, in both halves of guidance
/// together and, where that is searched, apart.
std::vector<BroadcastPolicy> schedules_that_store_most(const TuneSettings& settings, const VideoRequest& request) {
  std::vector<int> behind_the_first;
  for (int evaluation = 1; evaluation < request.steps; ++evaluation) behind_the_first.push_back(evaluation);
  Json reuse = Json::array();
  for (int branch = 0; branch < branch_count; ++branch) reuse.push_back({{"branch", name_of(Branch(branch))}, {"evaluations", behind_the_first}});
  Json schedule{{"steps", request.steps}, {"reuse", reuse}};
  if (!settings.stored.empty()) schedule["stored"] = settings.stored;
  std::vector<BroadcastPolicy> policies{BroadcastPolicy(schedule, "the schedule that stores most")};
  if (!settings.unconditional_half || request.guidance <= 1) return policies;
  // The last evaluation but one is without the unconditional half, so that its outputs are wanted till the last.
  schedule["reuse"].push_back({{"branch", unconditional_half_name}, {"evaluations", {request.steps - 2}}});
  policies.emplace_back(schedule, "the schedule that stores most");
  return policies;
}

ExitCode run(const Ranks& ranks, const TuneSettings& settings) {
  ranks.on_first([&] { check_settings(settings); });
  const auto model = find_model(settings.generate.model);
  const auto samples = samples_of(settings.generate, settings.samples, VideoRequests(settings.generate, *model));
  set_threads(settings.generate.model.threads, ranks);
  const auto backend = open_device(settings.generate.model, ranks);
  const VideoRequest& request = samples.front().request;
  const PlannedMemory memory = fit_ranks(ranks, true, *backend,
                                         {.model = *model,
                                          .settings = settings.generate.model,
                                          .requests = {request},
                                          .policies = schedules_that_store_most(settings, request),
                                          .rank = rank_without_folder(settings.generate.model, settings.generate.comm, 1, false, false),
                                          .ways_out = {.larger_teams = false, .text_encoding = "offload"}});
  const Json content = fingerprint_of(ranks, settings.generate, model->files(), *backend).content;
  const TeamChannels alone = lone_channels();
  const auto pipeline = open_on_nodes(ranks, *model, settings.generate.model, *backend, alone);
  try {
    const CalibrationSamples calibration(ranks, settings.generate, samples, *pipeline, settings.stored, memory.stored_outputs);
    const TunedSchedules found(settings, calibration, ranks.rank() == 0);
    ranks.on_first([&] { write_results(settings, found, content); });
  } catch (const AskedToStop&) {
    if (ranks.rank() == 0) std::fprintf(stderr, "pyracast: stopped before the end; nothing was written\n");
    return ExitCode::more_to_do;
  }
  return ExitCode::complete;
}

}  // namespace

int tune(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: [mpirun -n RANKS] pyracast tune --config FILE --prompts FILE --output DIR [settings]\n\n%s",
                describe(settings_of<TuneSettings>()).c_str());
    return 0;
  }
  constexpr double deadline = 3600;   // seconds; ranks calibrate by themselves
  return on_ranks<TuneSettings>(argc, argv, [](const TuneSettings&) { return deadline; }, run);
}

}  // namespace pyracast
