// `pyracast plan`: what a manifest takes (plan_manifest); and of one video what a team of ranks sends and stores (--comm), what a
// broadcast file reuses under each sampler (--reuse), and where its progress is saved (--checkpoints), known before any weight is read.
#include <algorithm>
#include <cstdio>
#include <map>

#include "base/config.hpp"
#include "base/counted.hpp"
#include "diffusion/sampler.hpp"
#include "jobs/jobs.hpp"
#include "jobs/plan_manifest.hpp"
#include "pab/leaving_plan.hpp"
#include "pipeline/planned_video.hpp"
#include "settings/plan_settings.hpp"
#include "settings/presets.hpp"

namespace pyracast {

namespace {

struct PlanSettings {
  std::filesystem::path config, broadcast;
  bool comm = false, reuse = false, cfg_parallel = false;
  int checkpoints = 0;
  std::string model = "opensora-1.2", dtype = "bfloat16", sampler;
  int64_t height = 0, width = 0, frames = 0;
  int steps = 0, ranks_per_video = 8;

  template <class Visit>
  static void fields(Visit&& visit, PlanSettings& s) {
    visit("Plan", "config", s.config, "file of `key = value` settings");
    visit("Plan", "comm", s.comm, "all-to-alls and bytes of each step: without broadcasting, placed as published, and planned");
    visit("Plan", "reuse", s.reuse, "evaluations of the network that compute each branch, of every sampler or of that of --sampler");
    visit("Plan", "checkpoints", s.checkpoints, "behind which evaluations progress is saved that is due after every so many (generate's "
          "--checkpoint-every)");
    visit("Plan", "broadcast", s.broadcast, "JSON file that says what is reused, or a preset by its name (those of configs/broadcast)");
    visit("Plan", "ranks-per-video", s.ranks_per_video, "ranks that make a video together");
    visit("Plan", "cfg-parallel", s.cfg_parallel, "the two halves of classifier-free guidance on the two halves of a team");
    visit("Video", "model", s.model, "opensora-1.2, latte-1, osp-1.1 or osp-1.2");
    visit("Video", "dtype", s.dtype, "of tokens and timesteps: float32 or bfloat16");
    visit("Video", "height", s.height, "pixels; 0: the model's published size");
    visit("Video", "width", s.width, "pixels; 0: the model's published size");
    visit("Video", "frames", s.frames, "frames of a clip; 0: the model's published number");
    visit("Video", "steps", s.steps, "denoising steps; 0: the model's published number");
    visit("Video", "sampler", s.sampler, "ddim, ddpm, pndm, euler, euler-ancestral or dpm-solver; empty: the model's published one");
  }
};

constexpr std::string_view video_plans[] = {"--comm", "--reuse", "--checkpoints"};

/// A line a sampler: what of a video is computed, and what is reused.
void print_reuse(const PlanSettings& s, const PlannedSize& size, DType dtype) {
  const BroadcastPolicy policy = broadcast_policy(s.broadcast);
  std::vector<std::string> samplers{s.sampler};
  if (s.sampler.empty() && s.model != "opensora-1.2") samplers = sampler_names();
  const PlannedVideo published = planned_video(s.model, size, dtype);
  std::printf("%s, %s: evaluations that compute each branch in the first block\n%-18s %11s", s.model.c_str(), counted(published.steps,
      "step").c_str(), "sampler",
              "evaluations");
  for (const Branch branch : published.order) std::printf(" %18s", name_of(branch));
  std::printf(" %9s\n", "reused");
  for (const std::string& name : samplers) {
    PlannedSize own = size;
    own.sampler = name;
    const PlannedVideo video = planned_video(s.model, own, dtype);
    const BroadcastSchedule schedule = policy.schedule(video.timesteps, video.blocks, video.steps);
    std::printf("%-18s %11d", name.empty() ? "published" : name.c_str(), schedule.evaluations());
    int64_t reused = 0;
    for (const Branch branch : video.order) {
      int64_t of_first = 0;
      for (int e = 0; e < schedule.evaluations(); ++e)
        for (int block = 0; block < video.blocks; ++block) {
          const bool reuses = schedule.reuses(e, {branch, block});
          reused += reuses + (reuses || schedule.reuses_unconditional_half(e));   // of the two halves of guidance
          of_first += !reuses && block == 0;
        }
      std::printf(" %18lld", (long long)of_first);
    }
    std::printf(" %7.1f %%\n", 100 * double(reused) / double(2 * int64_t(video.order.size()) * schedule.evaluations() * video.blocks));
    if (schedule.parts_halves())
      std::printf("%-18s evaluations that have the unconditional half of guidance: %d\n", "",
                  schedule.unconditional_evaluations(schedule.evaluations() - 1));
  }
  std::printf("reused: of all branch outputs of all blocks\n");
}

/// The plans of all ranks, added up.
struct TeamTotals {
  std::vector<int64_t> exchanges, bytes;   // [evaluations]
  int64_t all_exchanges = 0, all_bytes = 0, most_stored_bytes = 0;
};

TeamTotals totals(const PlannedVideo& video, const BroadcastSchedule& schedule, const TokenParts& parts, int64_t token_bytes,
                  Placement placement) {
  TeamTotals sum;
  sum.bytes.resize(size_t(schedule.evaluations()));
  for (int rank = 0; rank < parts.ranks; ++rank) {
    const VideoPlan plan = plan_video(video, schedule, parts, rank, token_bytes, placement);
    sum.most_stored_bytes = std::max(sum.most_stored_bytes, plan.stored_bytes);
    sum.exchanges.clear();
    for (size_t e = 0; e < plan.bytes.size(); ++e) {
      sum.exchanges.push_back(plan.exchanges[e].count());
      sum.bytes[e] += plan.bytes[e];
    }
  }
  for (size_t e = 0; e < sum.bytes.size(); ++e) {
    sum.all_exchanges += sum.exchanges[e];
    sum.all_bytes += sum.bytes[e];
  }
  return sum;
}

double mib(int64_t bytes) { return double(bytes) / (1 << 20); }

void print_communication(const PlanSettings& s, const PlannedVideo& video, DType dtype) {
  require(s.ranks_per_video >= 1, "ranks-per-video is ", s.ranks_per_video, ", expected 1 or more");
  require(!s.cfg_parallel || s.ranks_per_video % 2 == 0, "cfg-parallel needs a team with two equal halves, but ranks-per-video is ",
          s.ranks_per_video, ": use an even number, or leave cfg-parallel out");
  const BroadcastPolicy policy = broadcast_policy(s.broadcast);
  for (const std::string& line : policy.warnings(video.timesteps, video.blocks, video.order)) std::fprintf(stderr, "pyracast: %s\n", line.c_str());
  const BroadcastSchedule schedule = policy.schedule(video.timesteps, video.blocks, video.steps);
  const BroadcastSchedule everything(schedule.evaluations(), video.blocks);
  const TokenParts parts{s.cfg_parallel ? 1 : 2, video.time, video.space, s.cfg_parallel ? s.ranks_per_video / 2 : s.ranks_per_video};
  const int64_t token_bytes = video.hidden * int64_t(size_of(dtype));
  const TeamTotals without = totals(video, everything, parts, token_bytes, Placement::published);
  const TeamTotals published = totals(video, schedule, parts, token_bytes, Placement::published);
  const TeamTotals planned = totals(video, schedule, parts, token_bytes, Placement::least);

  const int halves = s.cfg_parallel ? 2 : 1;
  std::printf("%s, %lld x %lld tokens (time x space) wide %lld, %s, %s a video%s\n", s.model.c_str(), (long long)video.time,
              (long long)video.space, (long long)video.hidden, counted(video.heads ? video.blocks : 2 * video.blocks, "block").c_str(),
              counted(s.ranks_per_video, "rank").c_str(),
              s.cfg_parallel ? " in two halves" : "");
  std::printf("                   no broadcasting         placed as published           planned\n");
  std::printf("step  timestep  all-to-alls       MiB   all-to-alls       MiB   all-to-alls       MiB\n");
  for (size_t e = 0; e < video.timesteps.size(); ++e)
    std::printf("%4zu  %8lld  %11lld %9.1f   %11lld %9.1f   %11lld %9.1f\n", e + 1, (long long)video.timesteps[e],
                (long long)without.exchanges[e], halves * mib(without.bytes[e]), (long long)published.exchanges[e],
                halves * mib(published.bytes[e]), (long long)planned.exchanges[e], halves * mib(planned.bytes[e]));
  const auto share = [&](int64_t part, int64_t whole) { return whole ? 100 * double(part) / double(whole) : 0; };
  std::printf("all             %11lld %9.1f   %11lld %9.1f   %11lld %9.1f\n", (long long)without.all_exchanges,
              halves * mib(without.all_bytes), (long long)published.all_exchanges, halves * mib(published.all_bytes),
              (long long)planned.all_exchanges, halves * mib(planned.all_bytes));
  std::printf("left of the bytes without broadcasting: %.1f %% placed as published, %.1f %% planned\n",
              share(published.all_bytes, without.all_bytes), share(planned.all_bytes, without.all_bytes));
  std::printf("stored outputs, the most on a rank: %.1f MiB placed as published, %.1f MiB planned\n", mib(published.most_stored_bytes),
              mib(planned.most_stored_bytes));
  if (parts.ranks > 1 && !video.heads && !may_rest_over_time(parts))
    std::printf("tokens rest along space only: %lld frames are too few to be dealt out to %d ranks\n", (long long)parts.frames(), parts.ranks);
}

/// "1-3, 15"
std::string ranges_of(const std::vector<int>& numbers) {
  std::string text;
  for (size_t first = 0, last; first < numbers.size(); first = last + 1) {
    for (last = first; last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1;) ++last;
    text += concat(first ? ", " : "", numbers[first], last > first ? concat('-', numbers[last]) : "");
  }
  return text;
}

void print_checkpoints(const PlanSettings& s, const PlannedVideo& video) {
  const BroadcastSchedule schedule = broadcast_policy(s.broadcast).schedule(video.timesteps, video.blocks, video.steps);
  const int64_t halves = schedule.parts_halves() ? 1 : 2;
  const LeavingPlan plan(schedule, video.order, halves * video.time * video.space * video.hidden * int64_t(size_of(DType::float32)));
  std::map<int, std::vector<int>> behind;   // evaluations by how many outputs are stored behind them
  for (int made = 1; made <= plan.evaluations(); ++made) behind[plan.outputs_behind(made - 1)].push_back(made);
  std::printf("%d evaluations; progress is %.2f MiB of latents, as much for each tensor of the sampler's history%s, and the outputs that are stored\n"
              "and still reused:\n%8s %12s  behind evaluations\n", plan.evaluations(), mib(video.latent_bytes()),
              halves == 1 ? " and for what guidance added" : "", "outputs", "MiB");
  for (const auto& [outputs, made] : behind)
    std::printf("%8d %12.2f  %s\n", outputs, mib(plan.bytes_behind(made.front() - 1)), ranges_of(made).c_str());
  std::printf("due after every %d, it is saved behind %s where writing outputs takes less than the evaluations up to the next one that leaves none,\n"
              "else behind %s\n", s.checkpoints, ranges_of(plan.saved(s.checkpoints, true)).c_str(),
              ranges_of(plan.saved(s.checkpoints, false)).c_str());
}

int plan_video(int argc, char** argv) {
  const auto settings = read_config<PlanSettings>(argc, argv);
  require(settings.checkpoints >= 0, "checkpoints is ", settings.checkpoints, ", expected a number of evaluations");
  require(settings.comm || settings.reuse || settings.checkpoints, "what to plan is not known: give --comm, --reuse or --checkpoints N");
  require(settings.dtype == "float32" || settings.dtype == "bfloat16", "dtype is \"", settings.dtype, "\", expected float32 or bfloat16");
  const DType dtype = settings.dtype == "float32" ? DType::float32 : DType::bfloat16;
  const PlannedSize size{settings.height, settings.width, settings.frames, settings.steps, settings.sampler};
  if (settings.reuse) print_reuse(settings, size, dtype);
  if (settings.checkpoints) print_checkpoints(settings, planned_video(settings.model, size, dtype));
  if (settings.comm) print_communication(settings, planned_video(settings.model, size, dtype), dtype);
  return 0;
}

/// Whether one video is to be planned: else a manifest, whose job has a `comm` that names what tensors travel by.
bool asks_for_video(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i], name = word.substr(0, word.find('='));
    const std::string_view given = name != word ? word.substr(name.size() + 1) : i + 1 < argc ? argv[i + 1] : "";
    const bool names_transport = name == "--comm" && (given == "auto" || given == "mpi" || given == "nccl");
    if (!names_transport && std::find(std::begin(video_plans), std::end(video_plans), name) != std::end(video_plans)) return true;
  }
  return false;
}

}  // namespace

int plan(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast plan --prompts FILE --machine FILE [settings of generate]     hours, files and bytes of a manifest, and its best "
                "teams\n       mpirun -n RANKS_OF_A_NODE pyracast plan --measure FILE --prompts FILE [settings of generate]      makes the machine "
                "file\n\n%s\n       pyracast plan --comm|--reuse|--checkpoints N [settings]        one video. MiB are what all ranks of a team send "
                "together.\n\n%s",
                describe(settings_of<JobPlanSettings>()).c_str(), describe(settings_of<PlanSettings>()).c_str());
    return 0;
  }
  return asks_for_video(argc, argv) ? plan_video(argc, argv) : plan_manifest(argc, argv);
}

}  // namespace pyracast
