// `pyracast gallery`: some prompts made without reuse, by a hand-made broadcast file and by a tuned schedule, on one page.
#include <cstdio>
#include <numeric>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "comm/team.hpp"
#include "dataset/layout.hpp"
#include "dataset/manifest_text.hpp"
#include "dataset/mp4.hpp"
#include "jobs/jobs.hpp"
#include "production/memory_check.hpp"
#include "production/profiled_sample.hpp"
#include "production/sample_records.hpp"
#include "report/gallery_page.hpp"
#include "runtime/device.hpp"
#include "runtime/node_weights.hpp"
#include "runtime/on_ranks.hpp"
#include "runtime/team_answer.hpp"
#include "settings/presets.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

struct GallerySettings {
  ProfileSettings profile;
  std::vector<fs::path> broadcast;
  GallerySettings() { profile.samples = 6; }
  bool cfg_parallel = false;

  template <class Visit>
  static void fields(Visit&& visit, GallerySettings& s) {
    SettingsOfSamples::fields(visit, s.profile, "Gallery", "show the first so many samples of the manifest; 0: all");
    visit("Gallery", "broadcast", s.broadcast, "broadcast files or presets to show beside everything computed (comma between); default: the demo's "
          "hand-made preset and its tuned schedule of the same cost, from the folder `broadcast` beside the config file");
    visit("Gallery", "cfg-parallel", s.cfg_parallel, "the two halves of classifier-free guidance on the two halves of the ranks");
    visit("Gallery", "comm", s.profile.generate.comm, "how tensors travel between the ranks: mpi, nccl or auto (see generate)");
  }
};

/// The settings with defaults filled in. Throws Error on what cannot be shown.
GallerySettings completed(GallerySettings s) {
  GenerateSettings& g = s.profile.generate;
  require(!g.prompts.empty() && !is_stream(g.prompts.string()), "which prompts to show is not known: give --prompts FILE, no pipe");
  require(!g.output.empty(), "where to write is not known: give --output DIR");
  require(s.profile.samples >= 0, "samples is ", s.profile.samples, ", expected 0 (all) or more");
  if (!s.broadcast.empty()) return s;
  for (const char* name : {"demo-246.json", "demo-tuned-30-steps-at-cost-of-246.json"}) {
    const fs::path file = g.config.parent_path() / "broadcast" / name;
    require(fs::exists(file), "which broadcast files to show is not known: give --broadcast FILE,FILE (", file.string(), " is not there)");
    s.broadcast.push_back(file);
  }
  return s;
}

/// A way that is shown: nothing reused, or a file.
struct Way {
  GalleryWay shown;
  BroadcastPolicy policy;
};

std::vector<Way> ways_of(const GallerySettings& settings, int steps) {
  std::vector<Way> ways(1);
  ways[0].shown.name = "without reuse";
  ways[0].shown.explanation = "every output of every block is computed at every evaluation";
  for (const fs::path& given : settings.broadcast) {
    const fs::path file = broadcast_file(given);
    const Json json = read_json(file);
    Way& way = ways.emplace_back();
    way.policy = BroadcastPolicy(json, file.string());
    const std::string refusal = way.policy.refusal(steps), name = file.filename().string();
    require(refusal.empty(), refusal);
    const bool is_table = json.contains("reuse"), is_tuned = json.contains("provenance");
    way.shown.name = is_tuned ? "tuned schedule" : is_table ? "table" : "PAB";
    way.shown.explanation = concat(name, is_tuned   ? ": the evaluations at which each branch is reused were searched by pyracast tune"
                                         : is_table ? ": a table says at which evaluations each branch is reused"
                                                    : ": inside a window of timesteps each kind of attention is computed every so many evaluations");
  }
  for (size_t i = 1; i < ways.size(); ++i)
    for (size_t other = 1; other < i; ++other)
      if (ways[i].shown.name == ways[other].shown.name) ways[i].shown.name += concat(" ", i);
  return ways;
}

/// One sample in one way by the team; nothing where the job was asked to stop.
std::optional<VideoResult> made(const GenerateSettings& settings, const SampleToMeasure& sample, const BroadcastPolicy& policy,
                                OutputPlace stored_outputs, const TeamChannels& team, VideoPipeline& pipeline) {
  const auto noise = noise_of(sample.row, sample.number, sample.request.steps, settings);
  VideoRun run{*noise};
  run.read_reference = reader_of_references(settings);
  run.broadcast = policy;
  run.stored_outputs = stored_outputs;
  run.agree = [&](Outcome own) { return agreed(team.for_numbers(), own == Outcome::going_on && asked_to_stop() ? Outcome::stopped : own); };
  VideoResult result = pipeline.generate(sample.request, run);
  require(result.outcome != Outcome::failed, sample.row.id, " sample ", sample.number, ": ", result.reason);
  if (result.outcome == Outcome::stopped) return std::nullopt;
  return result;
}

std::string mp4_of(const fs::path& folder, const Video& video) {
  const fs::path file = folder / ".clip.mp4.tmp";
  encode_mp4(file, video, {}, 18);
  std::string bytes = read_file(file);
  fs::remove(file);
  return bytes;
}

/// The profile of all samples, by one rank alone: it looks at whole tokens.
std::optional<BranchProfile> profile_of(const GallerySettings& settings, const std::vector<SampleToMeasure>& samples, VideoPipeline& alone) {
  std::optional<BranchProfile> profile;
  for (const SampleToMeasure& sample : samples) {
    const auto profiled = profile_sample(settings.profile, sample, alone);
    if (!profiled) return std::nullopt;
    if (!profile) profile.emplace(profiled->timesteps);
    profile->add(profiled->changes);
  }
  return profile;
}

void write(const fs::path& output, const Gallery& gallery) {
  write_atomically(output / "index.html", gallery_page(gallery));
  write_atomically(output / "gallery.json", gallery_json(gallery).dump(1) + "\n");
  std::printf("%s\n%s\n", gallery_table(gallery).c_str(), (output / "index.html").c_str());
}

/// All ways by the team, for its memory.
VideosToFit videos_of(const GallerySettings& settings, const VideoModel& model, const VideoRequest& request, const std::vector<Way>& ways,
                      int ranks) {
  const GenerateSettings& g = settings.profile.generate;
  VideosToFit videos{.model = model, .settings = g.model, .requests = {request}, .policies = {},
                     .rank = rank_without_folder(g.model, g.comm, ranks, settings.cfg_parallel, true),
                     .ways_out = {.larger_teams = false, .text_encoding = "offload"}, .shares_gpus = g.comm == "mpi"};
  for (const Way& way : ways) videos.policies.push_back(way.policy);
  return videos;
}

ExitCode stopped(const Ranks& ranks) {
  if (ranks.rank() == 0) std::fprintf(stderr, "pyracast: stopped before the end; nothing was written\n");
  return ExitCode::more_to_do;
}

ExitCode run(const Ranks& ranks, const GallerySettings& asked) {
  ranks.on_first([&] {
    const GallerySettings settings = completed(asked);
    const GenerateSettings& g = settings.profile.generate;
    const auto samples = samples_of(g, settings.profile.samples, VideoRequests(g, *find_model(g.model)));
    ways_of(settings, samples.front().request.steps);
    open_device(g.model);
    line_chart_svg({.series = {{"any", {0, 1}, {0, 1}}}});   // is there gnuplot?
  });
  const GallerySettings settings = completed(asked);
  const GenerateSettings& g = settings.profile.generate;
  const auto model = find_model(g.model);
  const auto samples = samples_of(g, settings.profile.samples, VideoRequests(g, *model));
  const VideoRequest& request = samples.front().request;
  std::vector<Way> ways = ways_of(settings, request.steps);
  set_threads(g.model.threads, ranks);
  const auto backend = open_device(g.model, ranks, g.comm == "mpi");
  const Team team = split_into_teams(ranks, ranks.size());
  const TeamChannels channels = open_channels(team, settings.cfg_parallel, g.collective_timeout,
                                              transport_of(g.comm, g.model.device, team.size), *backend);
  const PlannedMemory memory = fit_ranks(ranks, team.leads(), *backend, videos_of(settings, *model, request, ways, team.size));
  fit_first_alone(ranks, *backend, videos_to_profile(*model, g.model, samples));
  auto pipeline = open_on_nodes(ranks, *model, g.model, *backend, channels);
  make_folder(g.output);

  std::vector<GalleryClip> clips;
  for (const SampleToMeasure& sample : samples) {
    GalleryClip& clip = clips.emplace_back(GalleryClip{sample.row.id, sample.row.text, {}, {}});
    Video reference;
    for (Way& way : ways) {
      auto result = made(g, sample, way.policy, memory.stored_outputs, channels, *pipeline);
      if (!result) return stopped(ranks);
      if (!team.leads()) continue;
      const SampleRecord record = record_of(sample.row, sample.number, sample.request, *result, g, way.policy);
      way.shown.steps.add(record);
      double& seconds = way.shown.seconds.emplace_back();
      for (const auto& evaluation : record.step_seconds) seconds += std::accumulate(evaluation.begin(), evaluation.end(), 0.0);
      clip.mp4.push_back(mp4_of(g.output, result->video));
      clip.drift.push_back(reference.frames ? std::optional(drift_of(reference, result->video)) : std::nullopt);
      if (!reference.frames) reference = std::move(result->video);
    }
    if (team.leads()) std::fprintf(stderr, "pyracast: %zu of %s made in %s\n", clips.size(), counted(samples.size(), "clip").c_str(),
        counted(ways.size(), "way").c_str());
  }
  pipeline.reset();   // the first rank's own takes its memory
  backend->release_idle();
  bool complete = true;
  if (team.leads()) {
    const TeamChannels alone = lone_channels();
    const auto profile = profile_of(settings, samples, *model->open(*backend, weight_storage(g.model), alone));
    complete = profile.has_value();
    if (profile) {
      Gallery all{g.model.model, concat(request.height, " x ", request.width, " pixels, ", request.frames, " frames, ", request.steps, " steps"),
                  ranks.size(), {}, std::move(clips), *profile};
      for (Way& way : ways) all.ways.push_back(std::move(way.shown));
      write(g.output, all);
    }
  }
  return any_rank(ranks, !complete) ? stopped(ranks) : ExitCode::complete;
}

}  // namespace

int gallery(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: [mpirun -n RANKS] pyracast gallery --config FILE --output DIR [settings]\n\nMakes the same videos without "
                "reuse and by each broadcast file, by all ranks together, and writes index.html: the clips side by side, likeness, seconds, "
                "bytes, what was reused.\n\n%s",
                describe(settings_of<GallerySettings>()).c_str());
    return 0;
  }
  const auto deadline = [](const GallerySettings& settings) { return 1.5 * settings.profile.generate.collective_timeout; };
  return on_ranks<GallerySettings>(argc, argv, deadline, run);
}

}  // namespace pyracast
