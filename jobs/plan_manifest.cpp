// `pyracast plan` of a manifest: what it takes a machine, and the teams that make it soonest.
#include "jobs/plan_manifest.hpp"

#include <algorithm>
#include <cstdio>

#include "base/counted.hpp"
#include "dataset/layout.hpp"
#include "forecast/choose_teams.hpp"
#include "forecast/manifest_buckets.hpp"
#include "jobs/generate.hpp"
#include "jobs/measure_machine.hpp"
#include "jobs/submit.hpp"
#include "pipeline/texts_to_store.hpp"
#include "pipeline/work_plan.hpp"
#include "production/memory_check.hpp"
#include "production/sample_records.hpp"
#include "runtime/device.hpp"
#include "runtime/on_ranks.hpp"
#include "settings/plan_settings.hpp"

namespace pyracast {

namespace {

/// What the job leaves on disk, and what it has there at most while it runs.
struct PlannedFiles {
  double videos = 0, shards = 0, arrays = 0;   ///< bytes; arrays: of shards, kept on request
  double shards_error = 0;                     ///< of shards and arrays together, relative
  uint64_t count = 0, fewer = 0;               ///< of files when the job has ended, at most; so many fewer at least
  double checkpoints = 0, texts = 0;           ///< bytes while it runs, at most; texts: encoded beforehand, till the set is whole
  uint64_t text_files = 0;                     ///< that hold them, at most
};

/// Bytes of the arrays that one video leaves in its shard, and of its latents.
std::pair<double, double> array_bytes(const VideoShape& shape, const WorkPlan& work, const GenerateSettings& settings) {
  const auto elements = [](const Shape& of) {
    double all = of.empty() ? 0 : 1;
    for (const int64_t d : of) all *= double(d);
    return all;
  };
  const double latents = elements(work.latents) * sizeof(float), evaluations = work.work[size_t(MakingPhase::other)].calls;
  double bytes = 0;
  if (saves(settings, "frames")) bytes += 3 * shape.pixels();
  if (saves(settings, "latents")) bytes += latents;
  if (saves(settings, "step-latents")) bytes += latents * evaluations;
  if (saves(settings, "embeddings")) bytes += elements(work.embedding) * sizeof(uint16_t);
  return {bytes, latents};
}

/// `texts`: those of the manifest that are encoded beforehand; null: none are.
PlannedFiles files_of(const JobPlan& plan, const Machine& machine, const GenerateSettings& settings, const VideoModel& model,
                      const VideoRequests& requests, const TextsToStore* texts) {
  PlannedFiles files{plan.video_bytes, plan.shard_bytes};
  double most_latents = 0;
  for (const BucketPlan& bucket : plan.buckets) {
    const VideoShape& shape = bucket.bucket.shape;
    const WorkPlan work = plan_work(model, weight_storage(settings.model), longest_request(shape, requests), requests.broadcast(), {});
    const auto [arrays, latents] = array_bytes(shape, work, settings);
    files.arrays += arrays * double(bucket.bucket.samples());
    most_latents = std::max(most_latents, latents);
  }
  const uint64_t ranks = uint64_t(plan.nodes) * uint64_t(machine.ranks_per_node), teams = ranks / uint64_t(plan.layout.ranks);
  const double by_bytes = files.arrays / double(settings.shard_megabytes << 20), by_samples = double(plan.videos) / double(settings.shard_samples);
  const uint64_t full = uint64_t(std::max(by_bytes, by_samples)), shards = full + std::min(teams, plan.videos);   // each team's last is not full
  files.fewer = shards - std::max<uint64_t>(full, 1);   // where one team makes nearly all
  files.shards += double(shards) * machine.shard_file_bytes;
  const double bytes_off = plan.shard_bytes_error * plan.shard_bytes + double(files.fewer) * machine.shard_file_bytes;
  files.shards_error = bytes_off / std::max(1.0, files.shards + files.arrays);
  if (settings.checkpoint_every != "never") files.checkpoints = double(teams) * most_latents;
  if (texts) {
    files.text_files = std::min(ranks, texts->count());   // each rank that gets a text writes one
    files.texts = double(texts->bytes(files.text_files));
  }
  // Index, metadata, near duplicates, run; of work/ manifest, its index, accepted, settings, fingerprint, attempts, lock.
  constexpr uint64_t of_dataset = 11;
  files.count = plan.videos + shards + ranks + of_dataset;
  return files;
}

/// The words of this command that are generate's, with the teams that were chosen.
std::vector<std::string> words_of_generate(int argc, char** argv, const JobPlan& plan) {
  std::vector<std::string> own{"machine", "ranks-per-video", "cfg-parallel"}, words;
  JobPlanSettings settings;
  JobPlanSettings::fields([&](const std::string& group, const std::string& name, auto&, const char*) {
    if (group == "Plan") own.push_back(name);
  }, settings);
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], name = word.substr(std::min(word.find_first_not_of('-'), word.size()));
    const bool has_value = name.find('=') != name.npos, is_own = std::find(own.begin(), own.end(), name.substr(0, name.find('='))) != own.end();
    if (word.starts_with("--") && is_own) i += !has_value && i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--");
    else words.push_back(word);
  }
  words.push_back(concat("--ranks-per-video=", plan.layout.ranks));
  if (plan.layout.cfg_parallel) words.push_back("--cfg-parallel=true");
  return words;
}

/// "1-02:30:00"
std::string slurm_time(double seconds) {
  const auto minutes = int64_t(seconds / 60) + 1;
  char text[48];
  std::snprintf(text, sizeof text, "%lld-%02lld:%02lld:00", (long long)(minutes / 1440), (long long)(minutes / 60 % 24), (long long)(minutes % 60));
  return text;
}

/// The same plan as a batch job.
struct PlannedSubmission {
  std::string sbatch, submit;   ///< a line each
};

PlannedSubmission submission_of(const JobPlan& plan, const Machine& machine, const std::vector<std::string>& generate) {
  SubmitSettings submit;
  submit.nodes = plan.nodes;
  submit.tasks_per_node = machine.ranks_per_node;
  submit.cpus_per_task = machine.cores_per_rank;
  submit.gpus_per_task = machine.gpus_per_rank;
  submit.time = slurm_time(plan.wall_seconds * (1 + plan.error) + 2 * submit.warning);
  const std::string gpus = submit.gpus_per_task ? concat(" --gpus-per-task ", submit.gpus_per_task) : "";
  PlannedSubmission lines{"sbatch", concat("pyracast submit --nodes ", submit.nodes, " --tasks-per-node ", submit.tasks_per_node,
                                           " --cpus-per-task ", submit.cpus_per_task, gpus, " --time ", submit.time, " --submit --")};
  for (const std::string& option : sbatch_options(submit)) lines.sbatch += " " + quoted(option);
  for (const std::string& word : generate) lines.submit += " " + quoted(word);
  return lines;
}

double share_of_hours(const JobPlan& plan, int of_rank, const Machine& machine) {
  return plan.wall_seconds / 3600 * plan.nodes * machine.ranks_per_node * of_rank;
}

Json json_of(const TeamCandidate& candidate) {
  Json json{{"ranks_per_video", candidate.layout.ranks}, {"cfg_parallel", candidate.layout.cfg_parallel}, {"possible", candidate.obstacle.empty()},
            {"obstacle", candidate.obstacle}};
  if (candidate.seconds > 0)
    json.update(Json{{"seconds", candidate.seconds}, {"latency_seconds", candidate.latency}, {"relative_error", candidate.error},
                     {"measured", candidate.measured}, {"videos_per_hour", candidate.videos_per_hour},
                     {"node_bytes", candidate.node_bytes}, {"host_bytes", candidate.host_bytes}});
  return json;
}

Json json_of(const JobPlan& plan, const Machine& machine, const ManifestBuckets& manifest, const PlannedFiles& files,
             const PlannedSubmission& submission) {
  Json json{{"nodes", plan.nodes}, {"ranks_per_node", machine.ranks_per_node}, {"ranks_per_video", plan.layout.ranks},
            {"cfg_parallel", plan.layout.cfg_parallel}, {"prompts", manifest.prompts}, {"videos", plan.videos}, {"merged", manifest.merged},
            {"rejected", manifest.rejected}, {"wall_seconds", plan.wall_seconds}, {"relative_error", plan.error}, {"start_up_seconds", plan.start_up},
            {"core_hours", share_of_hours(plan, machine.cores_per_rank, machine)},
            {"gpu_hours", share_of_hours(plan, machine.gpus_per_rank, machine)}};
  json["bytes"] = Json{{"videos", files.videos}, {"shards", files.shards}, {"arrays", files.arrays}, {"checkpoints", files.checkpoints},
                       {"texts", files.texts}, {"relative_error", plan.bytes_error}, {"shards_relative_error", files.shards_error}};
  json["files"] = files.count;
  json["files_fewer"] = files.fewer;
  json["text_files"] = files.text_files;
  json["memory"] = Json{{"first_rank", plan.first_bytes}, {"other_ranks", plan.other_bytes}, {"node", plan.node_bytes},
                        {"host_for_stored_outputs", plan.host_bytes}};
  json["buckets"] = Json::array();
  for (const BucketPlan& bucket : plan.buckets) {
    const VideoShape& shape = bucket.bucket.shape;
    Json one{{"height", shape.height}, {"width", shape.width}, {"frames", shape.frames}, {"steps", shape.steps}, {"clips", shape.clips},
             {"videos", bucket.bucket.samples()}};
    one["best"] = bucket.best() ? json_of(*bucket.best()) : Json();
    one["candidates"] = Json::array();
    for (const TeamCandidate& candidate : bucket.candidates) one["candidates"].push_back(json_of(candidate));
    json["buckets"].push_back(one);
  }
  json["list"] = Json::array();
  for (const WorkGroup& group : plan.list) json["list"].push_back({{"seconds", group.seconds}, {"count", group.count}});
  json["sbatch"] = submission.sbatch;
  json["submit"] = submission.submit;
  return json;
}

std::string time_text(double seconds) {
  char text[32];
  const auto [unit, length] = seconds < 120 ? std::pair{"s", 1} : seconds < 7200 ? std::pair{"min", 60} : std::pair{"h", 3600};
  std::snprintf(text, sizeof text, "%.1f %s", seconds / length, unit);
  return text;
}

void print_buckets(const JobPlan& plan) {
  std::printf("%-34s %10s  %-18s %12s %14s %12s\n", "size", "videos", "teams", "a video", "videos/h/node", "memory/node");
  for (const BucketPlan& bucket : plan.buckets)
    for (const TeamCandidate& candidate : bucket.candidates) {
      const bool first = &candidate == &bucket.candidates.front();
      const std::string size = first ? name_of(bucket.bucket.shape) : "", videos = first ? std::to_string(bucket.bucket.samples()) : "";
      std::printf("%-34s %10s  %-18s ", size.c_str(), videos.c_str(), name_of(candidate.layout).c_str());
      if (candidate.seconds > 0)
        std::printf("%12s %14.1f %12s%s", time_text(candidate.seconds).c_str(), candidate.videos_per_hour, size_text(candidate.node_bytes).c_str(),
                    candidate.measured ? "" : "  estimated");
      if (candidate.host_bytes > 0) std::printf("  stored outputs in %s of the host's memory", size_text(candidate.host_bytes).c_str());
      if (&candidate == bucket.best()) std::printf("  best");
      if (!candidate.obstacle.empty()) std::printf("  not possible: %s", candidate.obstacle.c_str());
      std::printf("\n");
    }
}

/// "; while it runs at most 2.1 MiB of …", or nothing.
std::string describe_while_it_runs(const PlannedFiles& files) {
  std::string text;
  if (files.checkpoints > 0) text += concat(size_text(int64_t(files.checkpoints)), " of progress for each tensor of a sampler's history");
  if (files.text_files > 0)
    text += concat(text.empty() ? "" : " and ", size_text(int64_t(files.texts)), " of encoded texts in ", counted(files.text_files, "file"));
  return text.empty() ? text : "; while it runs at most " + text;
}

void print(const JobPlan& plan, const Machine& machine, const ManifestBuckets& manifest, const PlannedFiles& files,
           const PlannedSubmission& submission) {
  print_buckets(plan);
  const double band = 100 * plan.error;
  std::printf("\n%s, %s; %s with an equal one, %s refused\n", counted(manifest.prompts, "prompt").c_str(), counted(plan.videos, "video").c_str(),
              counted(manifest.merged, "row merges", "rows merge").c_str(), counted(manifest.rejected, "is", "are").c_str());
  std::printf("teams of %s on %d x %d ranks: %s (+- %.0f %%), of which %s start\n", name_of(plan.layout).c_str(), plan.nodes, machine.ranks_per_node,
              time_text(plan.wall_seconds).c_str(), band, time_text(plan.start_up).c_str());
  if (machine.gpus_per_rank) std::printf("GPU-hours: %.3g (+- %.0f %%)\n", share_of_hours(plan, machine.gpus_per_rank, machine), band);
  std::printf("core-hours: %.3g (+- %.0f %%)\n", share_of_hours(plan, machine.cores_per_rank, machine), band);
  std::printf("on disk: %s of videos (+- %.0f %%), %s of shards (+- %.0f %%), in %s",
              size_text(int64_t(files.videos)).c_str(), 100 * plan.bytes_error, size_text(int64_t(files.shards + files.arrays)).c_str(),
              100 * files.shards_error, counted(files.count, "file").c_str());
  if (files.fewer) std::printf(" (up to %llu fewer)", (unsigned long long)files.fewer);
  std::printf("%s\n", describe_while_it_runs(files).c_str());
  std::printf("tensors, exactly: %s on a team's first rank%s, %s on a node with the weights that its ranks share\n",
              size_text(plan.first_bytes).c_str(),
              plan.layout.ranks > 1 ? concat(", ", size_text(plan.other_bytes), " on each other").c_str() : "", size_text(plan.node_bytes).c_str());
  if (plan.host_bytes > 0) std::printf("stored outputs are kept in the host's memory: %s of a node's, pinned\n", size_text(plan.host_bytes).c_str());
  std::printf("\n%s\n%s\n", submission.sbatch.c_str(), submission.submit.c_str());
}

/// The manifest on the nodes of one machine file.
struct PlannedMachine {
  Machine machine;
  std::optional<JobPlan> plan;
  std::string obstacle;   ///< why there is no plan
};

PlannedMachine planned(const ManifestBuckets& manifest, const Machine& machine, int nodes, const PlanWishes& wishes, const AskTeam& demands) {
  try {
    return {machine, plan_job(manifest.buckets, machine, nodes, wishes, demands), ""};
  } catch (const Error& error) {
    return {machine, std::nullopt, error.what()};
  }
}

/// That whose manifest ends first; of those without a plan, the first.
const PlannedMachine& soonest(const std::vector<PlannedMachine>& plans) {
  return *std::min_element(plans.begin(), plans.end(), [](const PlannedMachine& a, const PlannedMachine& b) {
    return a.plan && (!b.plan || a.plan->wall_seconds < b.plan->wall_seconds);
  });
}

Json json_of(const PlannedMachine& one) {
  Json json{{"ranks_per_node", one.machine.ranks_per_node}, {"cores_per_rank", one.machine.cores_per_rank}, {"obstacle", one.obstacle}};
  if (one.plan)
    json.update(Json{{"wall_seconds", one.plan->wall_seconds}, {"relative_error", one.plan->error}, {"ranks_per_video", one.plan->layout.ranks},
                     {"cfg_parallel", one.plan->layout.cfg_parallel}});
  return json;
}

void print(const std::vector<PlannedMachine>& plans, const Machine& best) {
  for (const PlannedMachine& one : plans) {
    std::printf("%s a node, %s each: ", counted(one.machine.ranks_per_node, "rank").c_str(), counted(one.machine.cores_per_rank, "core").c_str());
    if (one.plan) std::printf("%s (+- %.0f %%) by teams of %s%s\n", time_text(one.plan->wall_seconds).c_str(), 100 * one.plan->error,
                              name_of(one.plan->layout).c_str(), one.machine.ranks_per_node == best.ranks_per_node ? ", best" : "");
    else std::printf("%s\n", one.obstacle.c_str());
  }
  std::printf("\n");
}

int plan_on_machine(int argc, char** argv) {
  const auto settings = read_config<JobPlanSettings>(argc, argv);
  GenerateSettings generate = settings.generate;
  require(!generate.prompts.empty() || !generate.machine.empty(),
          "what to plan is not known: give --prompts FILE --machine FILE, or one of --measure FILE, --comm, --reuse, --checkpoints N");
  check_values(generate);
  constexpr int most_nodes = 65536;
  require(settings.nodes >= 0 && settings.nodes <= most_nodes, "nodes is ", settings.nodes, ", expected 1 to ", most_nodes,
          ", or 0 (as the machine file says)");
  require(!settings.latency || *settings.latency > 0, "latency is ", settings.latency.value_or(0), " s, expected more than 0");
  const std::vector<Machine> machines = machines_of(generate);
  const auto model = find_model(generate.model);
  const VideoRequests requests(generate, *model);
  std::optional<TextsToStore> texts;
  if (encodes_beforehand(generate.model, *model)) texts.emplace(*model);
  const ManifestBuckets manifest = buckets_of(generate, requests, [&](const VideoRequest& request) {
    if (texts) texts->add(request);
  });
  const PlanWishes wishes{settings.latency, generate.ranks_per_video, generate.cfg_parallel};
  std::vector<PlannedMachine> plans;
  for (const Machine& machine : machines)
    plans.push_back(planned(manifest, machine, settings.nodes ? settings.nodes : machine.nodes, wishes,
                            team_demands(*model, generate, requests, machine.cores_per_rank)));
  const auto& [machine, best, obstacle] = soonest(plans);
  require(best.has_value(), obstacle);
  const JobPlan& plan = *best;
  const PlannedFiles files = files_of(plan, machine, generate, *model, requests, texts ? &*texts : nullptr);
  const PlannedSubmission submission = submission_of(plan, machine, words_of_generate(argc, argv, plan));
  if (settings.json) {
    Json json = json_of(plan, machine, manifest, files, submission);
    for (const PlannedMachine& one : plans) json["machines"].push_back(json_of(one));
    std::printf("%s\n", json.dump(1).c_str());
    return 0;
  }
  if (plans.size() > 1) print(plans, machine);
  print(plan, machine, manifest, files, submission);
  return 0;
}

bool asks_to_measure(int argc, char** argv) {
  return std::any_of(argv + 1, argv + argc, [](std::string_view word) { return word == "--measure" || word.starts_with("--measure="); });
}

}  // namespace

int plan_manifest(int argc, char** argv) {
  if (!asks_to_measure(argc, argv)) return plan_on_machine(argc, argv);
  const auto deadline = [](const JobPlanSettings& settings) {
    check_values(settings.generate);
    return 1.5 * settings.generate.collective_timeout;
  };
  return on_ranks<JobPlanSettings>(argc, argv, deadline, measure_machine);
}

}  // namespace pyracast
