#include "jobs/measure_machine.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <thread>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "dataset/layout.hpp"
#include "dataset/scratch_folder.hpp"
#include "dataset/shard_reader.hpp"
#include "dataset/time_left.hpp"
#include "forecast/manifest_buckets.hpp"
#include "forecast/measured_rows.hpp"
#include "jobs/generate.hpp"
#include "runtime/device.hpp"
#include "runtime/share_text.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// Sizes to measure and rows of each: the smallest, the middle and the largest of the manifest; of a manifest of one size that one and
/// its first frame, or half its steps.
std::map<VideoShape, std::vector<Prompt>> sizes_to_measure(const ManifestBuckets& manifest) {
  std::vector<VideoShape> shapes;
  for (const auto& [shape, rows] : manifest.rows) shapes.push_back(shape);
  std::stable_sort(shapes.begin(), shapes.end(), [](const VideoShape& a, const VideoShape& b) { return a.cost() < b.cost(); });
  std::map<VideoShape, std::vector<Prompt>> sizes;
  for (const VideoShape& shape : {shapes.front(), shapes[shapes.size() / 2], shapes.back()}) sizes[shape] = manifest.rows.at(shape);
  if (sizes.size() == 1 && (shapes.front().frames > 1 || shapes.front().steps > 1)) {
    VideoShape smaller = shapes.front();
    if (smaller.frames > 1 && smaller.clips == 1) smaller.frames = 1;
    else smaller.steps = std::max(1, smaller.steps / 2);
    sizes[smaller] = sizes.begin()->second;
  }
  return sizes;
}

/// What a row of write_manifest was asked to be.
VideoShape shape_of_row(const SampleRecord& row, const std::map<VideoShape, std::vector<Prompt>>& sizes, int videos) {
  return std::next(sizes.begin(), std::stoi(row.id.substr(row.id.find('-') + 1)) / videos)->first;
}

/// A manifest of so many videos of each size, one size behind the other.
void write_manifest(const fs::path& file, const std::map<VideoShape, std::vector<Prompt>>& sizes, int videos) {
  std::ofstream out(file);
  int number = 0;
  for (const auto& [shape, rows] : sizes)
    for (int i = 0; i < videos; ++i) {
      Prompt row = rows[size_t(i) % rows.size()];
      row.id = concat("measured-", number++);
      row.samples = 1;
      row.resolution = row.aspect_ratio = std::nullopt;
      row.seconds = std::nullopt;
      row.height = int(shape.height), row.width = int(shape.width), row.frames = int(shape.frames), row.steps = shape.steps;
      out << to_json_line(row) << '\n';
    }
  out.flush();
  require(out.good(), file.string(), ": cannot be written");
}

std::vector<SampleRecord> rows_of(const fs::path& output) {
  std::vector<SampleRecord> rows;
  for (const fs::path& shard : sealed_shards(OutputLayout{output}.shards()))
    for (SampleRecord& row : ShardReader(shard).rows_with_steps()) rows.push_back(std::move(row));
  return rows;
}

/// Seconds since this process was started, as the system counts them.
double seconds_of_process() {
  std::ifstream stat("/proc/self/stat"), uptime("/proc/uptime");
  const std::string text((std::istreambuf_iterator<char>(stat)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  double ticks = 0, now = 0;
  fields >> ticks;
  uptime >> now;
  return fields && uptime ? now - ticks / double(::sysconf(_SC_CLK_TCK)) : 0;
}

/// What files take: rows written alone and together, and the videos of a run.
void fit_bytes(Machine& machine, const fs::path& output, const std::vector<SampleRecord>& rows, const fs::path& scratch) {
  std::vector<MeasuredPhase> videos;
  for (const SampleRecord& row : rows)
    videos.push_back({{1, double(row.height) * double(row.width) * double(row.frames)}, double(fs::file_size(output / row.video))});
  machine.video_bytes = fit_cost(videos);
  double squares = 0;
  for (const MeasuredPhase& video : videos) squares += std::pow(video.seconds / machine.video_bytes.of(video.work) - 1, 2);
  machine.video_bytes_spread = std::sqrt(squares / double(videos.size()));
  const auto size_of = [&](size_t count) {   // of rows spread over all that were made
    ShardFile shard(scratch / "shard.tmp", std::string(64, '0'), "{}");
    for (size_t i = 0; i < count; ++i) {
      SampleRecord row = rows[i * rows.size() / count];
      row.latents = row.step_latents = {};
      row.text_embedding = {};
      shard.append(row);
    }
    shard.seal_as(scratch / "shard.h5");
    return double(fs::file_size(scratch / "shard.h5"));
  };
  size_t most_steps = 0, evaluations = 0;
  for (const SampleRecord& row : rows) most_steps = std::max(most_steps, row.step_seconds.size()), evaluations += row.step_seconds.size();
  // As far as no column needs a second chunk, of which it would fill a part.
  const size_t many = std::clamp<size_t>(hdf5::rows_a_chunk / std::max<size_t>(most_steps, 1), 2, 1000), few = (many + 3) / 4;
  constexpr double of_evaluation = sizeof(SampleRecord::step_seconds[0]) + sizeof(SampleRecord::step_counts[0]);
  const double few_bytes = size_of(few), row_bytes = (size_of(many) - few_bytes) / double(many - few);
  machine.shard_bytes = {std::max(0.0, row_bytes - of_evaluation * double(evaluations) / double(rows.size())), of_evaluation};
  machine.shard_file_bytes = std::max(0.0, few_bytes - row_bytes * double(few));
}

/// Makes the videos of a layout and fits what they took. Rank 0 gets the costs.
class LayoutMeasurement {
 public:
  LayoutMeasurement(const Ranks& ranks, const JobPlanSettings& settings, const fs::path& scratch)
      : ranks_(ranks), settings_(settings), scratch_(scratch) {}

  fs::path make(TeamLayout layout, const std::map<VideoShape, std::vector<Prompt>>& sizes) {
    GenerateSettings generate = settings_.generate;
    generate.prompts = scratch_ / concat("prompts-", ranks_.size() / layout.ranks, ".jsonl");
    generate.output = scratch_ / concat("teams-of-", layout.ranks, layout.cfg_parallel ? "-in-halves" : "");
    generate.ranks_per_video.ranks = layout.ranks;
    generate.cfg_parallel = layout.cfg_parallel;
    generate.part = "0/1";
    generate.audit = "0%", generate.audit_bound = std::nullopt, generate.audit_fallback = false;   // a plan adds their passes
    ranks_.on_first([&] { write_manifest(generate.prompts, sizes, videos(layout)); });
    const double began = steady_seconds();
    const ExitCode code = generate_dataset(ranks_, generate);
    seconds_ = steady_seconds() - began;
    if (code == ExitCode::more_to_do) throw AgreedError("stopped before the end; nothing was written", code);
    return generate.output;
  }

  /// Start-up is what the run took beside its videos.
  LayoutCosts costs(const std::vector<SampleRecord>& rows, TeamLayout layout, const std::map<VideoShape, std::vector<Prompt>>& sizes,
                    const DemandsOfShapes& demands, double launch) const {
    const auto shape_of = [&](const SampleRecord& row) { return shape_of_row(row, sizes, videos(layout)); };
    LayoutCosts costs = fit_layout(measured_videos(rows, shape_of, demands), demands);
    const auto seconds = [&](const TeamDemand& demand) {
      return costs.phases[0].of(demand.work[0]) + making_seconds(costs.phases, demand.work, demand.beside);
    };
    std::vector<Bucket> buckets;
    double tail = 0;
    for (const auto& [shape, demand] : demands) {
      buckets.push_back({shape, {{1, uint64_t(videos(layout))}}});
      tail = std::max(tail, latency_seconds(costs.phases, demand.work) - seconds(demand));
    }
    const auto list = queue_of(buckets, [&](const VideoShape& shape, int) { return seconds(demands.at(shape)); });
    costs.start_up = std::max(0.0, seconds_ - tail - makespan(list, size_t(ranks_.size() / layout.ranks))) + launch;
    return costs;
  }

 private:
  const Ranks& ranks_;
  const JobPlanSettings& settings_;
  const fs::path& scratch_;
  double seconds_ = 0;

  int videos(TeamLayout layout) const { return settings_.samples * ranks_.size() / layout.ranks; }   ///< of each size
};

void check(const Ranks& ranks, const JobPlanSettings& settings) {
  require(ranks.node_count() == 1, "ranks run on ", ranks.node_count(), " nodes, expected one: its own ranks make a video, and share its memory");
  require(settings.samples >= 2, "samples is ", settings.samples, ", expected 2 or more");
  require(settings.measure != "-", "measure is \"-\", expected a file");
}

Machine machine_without_costs(const Ranks& ranks, const GenerateSettings& settings) {
  Machine machine;
  machine.ranks_per_node = ranks.size();
  const int cores = int(std::thread::hardware_concurrency()) / ranks.size();
  machine.cores_per_rank = std::max(1, settings.model.threads > 0 ? settings.model.threads : cores);
  machine.gpus_per_rank = settings.model.device == "cuda";
  machine.memory_per_node = memory_limit();
  machine.model = settings.model.model;
  machine.dtype = settings.model.dtype;
  const auto device = open_device(settings.model);
  machine.device = device->name();
  machine.memory_per_gpu = device->memory().available;
  return machine;
}

}  // namespace

ExitCode measure_machine(const Ranks& ranks, const JobPlanSettings& settings) {
  const double launch = seconds_of_process();
  ranks.on_first([&] { check(ranks, settings); });
  const GenerateSettings& generate = settings.generate;
  const auto model = find_model(generate.model);
  const VideoRequests requests(generate, *model);
  std::optional<ScratchFolder> folder;
  const fs::path scratch = text_of_first(ranks, [&] {
    if (generate.output.empty()) return folder.emplace().path().string();
    make_folder(generate.output);
    return folder.emplace(generate.output).path().string();
  });
  std::map<VideoShape, std::vector<Prompt>> sizes;
  std::optional<Machine> machine;
  ranks.on_first([&] {
    sizes = sizes_to_measure(buckets_of(generate, requests));
    machine = machine_without_costs(ranks, generate);
  });
  const RankThreads threads = set_threads(generate.model.threads, ranks);   // as generate will
  const AskTeam ask = team_demands(*model, generate, requests, threads.threads + threads.idle_cores);
  LayoutMeasurement measurement(ranks, settings, scratch);
  for (const TeamLayout layout : layouts_of(ranks.size())) {
    const fs::path output = measurement.make(layout, sizes);
    ranks.on_first([&] {
      DemandsOfShapes demands;
      for (const auto& [shape, rows] : sizes) {
        demands[shape] = ask(shape, layout);
        require(demands[shape].refusal.empty(), demands[shape].refusal);
      }
      const std::vector<SampleRecord> rows = rows_of(output);
      machine->layouts[layout] = measurement.costs(rows, layout, sizes, demands, launch);
      if (layout == TeamLayout{}) fit_bytes(*machine, output, rows, scratch);
    });
  }
  ranks.on_first([&] {
    if (const auto pair = machine->layouts.find({2, false}); pair != machine->layouts.end()) {
      const PhaseCost& exchange = pair->second.phases[size_t(MakingPhase::communication)];
      machine->exchange_seconds = exchange.per_call;
      machine->exchange_rate = exchange.per_work > 0 ? 1 / exchange.per_work : 0;
    }
    write_atomically(settings.measure, to_json(*machine).dump(1) + "\n");
    std::fprintf(stderr, "pyracast: what teams of %s take is in %s\n", counted(ranks.size(), "rank").c_str(), settings.measure.c_str());
  });
  return ExitCode::complete;
}

}  // namespace pyracast
