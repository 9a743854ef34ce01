// `pyracast generate`: makes every prompt's video that the dataset does not hold yet.
#include <cstdio>

#include "jobs/generate.hpp"
#include "base/counted.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "dataset/derive.hpp"
#include "dataset/earlier_manifest.hpp"
#include "dataset/manifest_check.hpp"
#include "dataset/manifest_on_ranks.hpp"
#include "dataset/manifest_text.hpp"
#include "dataset/run_settings.hpp"
#include "forecast/choose_teams.hpp"
#include "jobs/jobs.hpp"
#include "production/fingerprint.hpp"
#include "production/finished_samples.hpp"
#include "production/memory_check.hpp"
#include "production/on_change.hpp"
#include "production/output_folder.hpp"
#include "production/quality_line.hpp"
#include "production/sample_maker.hpp"
#include "production/sample_records.hpp"
#include "production/text_encoding.hpp"
#include "runtime/allocation.hpp"
#include "runtime/device.hpp"
#include "runtime/node_weights.hpp"
#include "runtime/on_ranks.hpp"
#include "runtime/progress_lines.hpp"
#include "runtime/share_text.hpp"
#include "runtime/signals.hpp"
#include "runtime/step_lines.hpp"
#include "runtime/version.hpp"

namespace pyracast {

namespace {

/// How far a run has come.
struct EndOfRun {
  bool complete = false;     ///< no sample is left
  bool given_up = false;     ///< too many of this rank's team failed
  uint64_t failed = 0;       ///< samples, of all runs; on rank 0
};

/// Claims and makes samples until none is left, the job is stopped or given up, or its time is up. `idle_cores`: on which videos are decoded
/// beside the next.
EndOfRun make_all(const Job& job, TimeLeft time, VideoPipeline& pipeline, int idle_cores, ShardWriter* shards, const FinishedSamples& finished) {
  FailuresInARow failures(job.settings.give_up_after);
  WorkQueue queue(job.ranks, job.team, job.manifest, std::cref(finished), [&] { return asked_to_stop() || failures.are_too_many(); });
  SampleMaker make(job, pipeline, queue, shards, failures, std::move(time), idle_cores);
  bool going_on = true;
  {
    const ProgressLines lines(job.ranks, queue, job.settings.verbose);
    while (const auto claim = going_on ? queue.next() : std::nullopt) {
      const Prompt row = job.manifest.row(claim->prompt);
      const VideoRequest request = job.requests(row);
      for (uint32_t i = 0; i < claim->samples && going_on; ++i) going_on = make(row, request, claim->first_sample + i);
    }
    make.finish();
    if (shards) shards->close();
    queue.leave();   // the last line counts what all teams have made
  }
  make.savings().report(job.ranks);
  return {.complete = going_on && !queue.stopped(), .given_up = failures.are_too_many(),
          .failed = job.ranks.rank() == 0 ? finished.failed() + queue.progress().failed : 0};
}

/// Settings that earlier runs of the folder had.
Json earlier_settings(const std::filesystem::path& output, const Fingerprint& fingerprint) {
  Json all = Json::array();
  for (const auto& [hash, settings] : settings_of_dataset(output))
    if (hash != fingerprint.hash)
      all.push_back({{"fingerprint", hash}, {"content", settings.content}, {"configuration", settings.configuration}, {"version", settings.version}});
  return all;
}

Json describe_run(const GenerateSettings& settings, const Fingerprint& fingerprint, const Ranks& ranks, const Manifest& manifest) {
  return {{"fingerprint", fingerprint.hash}, {"version", version_json()}, {"configuration", to_json(settings)},
          {"content", fingerprint.content}, {"earlier", earlier_settings(settings.output, fingerprint)},
          {"ranks", ranks.size()}, {"nodes", ranks.node_count()}, {"attempts", attempts_of(settings.output)},
          {"manifest", {{"prompts", manifest.size()}, {"samples", manifest.total_samples()}, {"merged", manifest.merged()},
                        {"rejected", manifest.rejected()}, {"fingerprint", manifest.fingerprint()}}}};
}

/// What broadcasting will and will not do for a video of the run's own size.
void tell_of_broadcast(const VideoPipeline& pipeline, const VideoRequests& requests) {
  const VideoRequest typical = requests.typical();
  for (const std::string& line : pipeline.warnings(typical, requests.broadcast())) std::fprintf(stderr, "pyracast: %s\n", line.c_str());
  std::fprintf(stderr, "pyracast: outputs stored for reuse: at most %.1f MiB a rank for %lld x %lld, %lld frames\n",
               double(pipeline.plan(typical, pipeline.schedule(typical, requests.broadcast())).stored_bytes) / (1 << 20), (long long)typical.height,
               (long long)typical.width, (long long)typical.frames);
}

/// Does `act` on rank 0. What goes wrong is the output folder's fault, not the input's.
void on_first_at_the_disk(const Ranks& ranks, const std::function<void()>& act) {
  ranks.on_first([&] {
    try {
      act();
    } catch (const std::exception& error) {
      throw Error(as_error(error).what(), ExitCode::environment);
    }
  });
}

/// A team that does not fit its nodes is every rank's mistake alike: told once.
std::pair<Team, TeamChannels> open_team(const Ranks& ranks, const GenerateSettings& settings, Backend& backend) {
  try {
    Team team = split_into_teams(ranks, settings.ranks_per_video);
    TeamChannels channels = open_channels(team, settings.cfg_parallel, settings.collective_timeout,
                                          transport_of(settings.comm, settings.model.device, team.size), backend);
    return {std::move(team), std::move(channels)};
  } catch (const Error& error) {
    throw AgreedError(error.what(), error.code);
  }
}

/// Everything about the settings that can be wrong before anything is written, beside their values.
void check_settings(const GenerateSettings& settings) {
  require(!settings.prompts.empty(), "which prompts to make is not known: give --prompts FILE");
  if (!is_stream(settings.prompts.string())) check_beginning(settings.prompts.string());   // else there is one look only
  require(!settings.output.empty(), "where to write is not known: give --output DIR");
  const auto model = find_model(settings.model);
  manifest_options(settings, VideoRequests(settings, *model));
  open_device(settings.model);
}

}  // namespace

void check_values(const GenerateSettings& settings) {
  require(settings.collective_timeout > 0, "collective-timeout is ", settings.collective_timeout, " s, expected more than 0");
  check_save(settings.save);
  check_threads(settings.model.threads);
  Audit{settings};
  check_stop_signals(settings.walltime.stop_signals);
  SaveInterval(settings.checkpoint_every);
  on_change_of(settings.on_change);
  require(settings.walltime.max_walltime >= 0 && settings.walltime.walltime_reserve >= 0, "max-walltime and walltime-reserve must not be negative");
  weight_storage(settings.model);
  gpu_attention_of(settings.model.gpu_attention);
  text_encoding(settings.model);
  stored_outputs(settings.model);
  require(settings.noise == "philox" || settings.noise == "torch", "noise is \"", settings.noise, "\", expected philox or torch");
  constexpr int64_t most_megabytes = 1 << 30;
  require(settings.shard_samples > 0 && settings.shard_megabytes > 0 && settings.shard_megabytes <= most_megabytes, "shard-samples is ",
          settings.shard_samples, " and shard-megabytes ", settings.shard_megabytes, ", expected 1 or more, and at most ", most_megabytes,
              " megabytes");
  transport_of(settings.comm, settings.model.device, settings.ranks_per_video);
  require(settings.give_up_after >= 0, "give-up-after is ", settings.give_up_after, ", expected 0 (never) or more");
  require(settings.crf >= 0 && settings.crf <= 51, "crf is ", settings.crf, ", expected 0 to 51");
}

ExitCode generate_dataset(const Ranks& ranks, const GenerateSettings& asked) {
  ranks.on_first([&] { check_settings(asked); });
  GenerateSettings settings = asked;
  if (settings.ranks_per_video.automatic()) choose_teams(ranks, settings);
  keep_stop_signals(settings.walltime.stop_signals);
  const TimeLeft time = time_left(ranks, settings.walltime);
  const auto backend = open_device(settings.model, ranks, settings.comm == "mpi");
  const auto [team, channels] = open_team(ranks, settings, *backend);
  const auto model = find_model(settings.model);
  if (ranks.rank() == 0)
    for (const std::string& line : model->notes()) std::fprintf(stderr, "pyracast: %s\n", line.c_str());
  const VideoRequests requests(settings, *model);
  const RankThreads threads = set_threads(settings.model.threads, ranks);
  const bool on_cpu = settings.model.device == "cpu";
  const PlannedRank rank = rank_of_generate(settings, team.size, settings.cfg_parallel, threads.idle_cores);
  const int cores_to_decode_on = rank.beside == Beside::decoding ? threads.idle_cores : 0;
  const VideosToFit videos{.model = *model, .settings = settings.model, .requests = {requests.typical()}, .policies = {requests.broadcast()},
                           .rank = rank, .shares_gpus = settings.comm == "mpi"};
  const PlannedMemory memory = fit_ranks(ranks, team.leads(), *backend, videos);
  const ManifestOptions rows = manifest_options(settings, requests);
  std::optional<Fingerprint> fingerprint;   // before the folder only where it decides which one that is: weights take long to read
  if (on_change_of(settings.on_change) == OnChange::fork) {
    fingerprint = fingerprint_of(ranks, settings, model->files(), *backend);
    settings.output = text_of_first(ranks, [&] { return folder_to_go_on_in(settings, *fingerprint, requests, rows).string(); });
  }
  const OutputFolder output(ranks, settings.output, {settings.prompts, settings.config});
  open_log(settings.output / "logs" / concat("rank-", ranks.rank(), ".log"));
  if (!fingerprint) fingerprint = fingerprint_of(ranks, settings, model->files(), *backend);
  ranks.on_first([&] {
    continue_or_begin(settings, *fingerprint);
    keep_manifest(settings.output);
  });
  const Manifest manifest = build_manifest(ranks, settings.prompts.string(), settings.output, rows);
  spdlog::info("rank {} of {} on {}: {}, {} threads, team {} of {}", ranks.rank(), ranks.size(), ranks.node_name(),
               backend->name(), threads.threads, team.index, team.count);
  if (!on_cpu && requests.broadcast().enabled())
    spdlog::info("stored outputs are kept in the {} memory", memory.stored_outputs == OutputPlace::host ? "host's" : "GPU's");
  if (cores_to_decode_on) spdlog::info("videos are decoded on {} idle cores, each beside the next", cores_to_decode_on);
  if (!on_cpu) spdlog::info("the frames of a video leave the GPU while the next one is made");

  FinishedSamples finished(manifest);
  ChangedRows changed(manifest, settings, requests, fingerprint->hash);
  const auto is_to_come = [&](const ProgressLabel& label) {
    return label.fingerprint == fingerprint->hash && finished.is_to_come(label.id, label.sample);
  };
  const auto remove_all_progress = [&] {
    remove_progress(settings.output, is_to_come);
    remove_progress(progress_of_audits(settings.output), is_to_come);
  };
  int64_t attempt = 0;
  const std::string configuration = to_json(settings).dump();
  on_first_at_the_disk(ranks, [&] {
    if (manifest.merged())
      std::fprintf(stderr, "pyracast: %s no video of their own (\"samples\" makes several)\n",
                   counted(manifest.merged(), "row of the manifest equals an earlier one and makes",
                       "rows of the manifest equal an earlier one and make").c_str());
    if (manifest.rejected())
      std::fprintf(stderr, "pyracast: %s rejected, see %s\n",
                   counted(manifest.rejected(), "line of the manifest was", "lines of the manifest were").c_str(),
                       (settings.output / "rejected.jsonl").c_str());
    const bool rows_are_known = is_accepted(settings.output, manifest.fingerprint()) && !settings.check_files;
    StepLines tell;
    size_t found = 0;
    recover(settings.output, configurations_of(settings.output), [&](const FinishedSample& sample) {
      finished.add(sample);
      tell("videos found finished", ++found, manifest.total_samples());
      if (!rows_are_known) changed.look_at(sample.row, sample.fingerprint);
    }, [](const std::string& message) { spdlog::warn(message); }, settings.check_files ? RecoverReads::everything : RecoverReads::what_changed);
    remove_all_progress();
  });
  ranks.on_first([&] { accept_rows(settings, manifest.fingerprint(), changed); });
  on_first_at_the_disk(ranks, [&] { attempt = begin_attempt(settings.output, ranks, fingerprint->hash); });
  check_mpi(MPI_Bcast(&attempt, 1, MPI_INT64_T, 0, ranks.world()), "sharing the attempt's number");

  const bool has_texts = encodes_beforehand(settings.model, *model);
  std::shared_ptr<const StoredTexts> texts;
  if (has_texts) texts = encode_texts({ranks, settings, *model, *backend, requests, manifest, finished, *fingerprint, attempt, time});
  const auto make_videos = [&] {
    const SaveInterval save_interval(settings.checkpoint_every);
    std::optional<ShardWriter> shards;
    if (team.leads()) {
      ShardWriterOptions options{settings.output, team.index, fingerprint->hash, configuration, settings.shard_samples,
                                 uint64_t(settings.shard_megabytes) << 20, settings.crf, saves(settings, "frames")};
      if (!save_interval.never())
        options.on_durable = [&](const SampleRecord& record) {
          remove_progress_of(settings.output, record.id, record.sample);
          remove_progress_of(progress_of_audits(settings.output), record.id, record.sample);
        };
      shards.emplace(std::move(options));
    }
    const auto pipeline = open_on_nodes(ranks, *model, settings.model, *backend, channels, texts);
    if (ranks.rank() == 0 && requests.broadcast().enabled()) tell_of_broadcast(*pipeline, requests);
    EarlierSaves earlier_saves;
    const Audit audit(settings);
    const Job job{ranks, settings, team, channels, manifest, requests, audit, fingerprint->hash, save_interval, memory.stored_outputs,
                  attempt, earlier_saves};
    return make_all(job, time, *pipeline, cores_to_decode_on, shards ? &*shards : nullptr, finished);
  };
  const EndOfRun end = texts || !has_texts ? make_videos() : EndOfRun();
  texts.reset();

  spdlog::info("{}", describe_use(*backend, memory.bytes));

  // Every team's shards are sealed when the queue has ended on all ranks.
  int ends[3] = {end.given_up, !end.complete, end.failed > 0};
  on_first_at_the_disk(ranks, remove_all_progress);
  manifest.release();   // what follows takes memory of its own
  on_first_at_the_disk(ranks, [&] {
    const DatasetCounts counts = derive(settings.output, describe_run(settings, *fingerprint, ranks, manifest), StepLines());
    std::fprintf(stderr, "pyracast: %s\n", quality_line(counts).c_str());
  });
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, ends, 3, MPI_INT, MPI_MAX, ranks.world()), "agreeing on the end");
  const auto [given_up, is_left, has_failures] = ends;
  if (!is_left) on_first_at_the_disk(ranks, [&] { std::filesystem::remove_all(OutputLayout{settings.output}.texts()); });   // of no more use
  log_end(given_up ? "given up" : is_left ? "more to do" : has_failures ? "complete with failures" : "complete");
  if (given_up && ranks.rank() == 0)
    std::fprintf(stderr, "pyracast: given up: %s of a team failed one after the other; `status` says why, and `retry` makes them undone "
                 "when that is mended\n", counted(settings.give_up_after, "sample").c_str());
  if (given_up) return ExitCode::environment;
  return is_left ? ExitCode::more_to_do : has_failures ? ExitCode::complete_with_failures : ExitCode::complete;
}

namespace {

int on_ranks_of(const char* name, int argc, char** argv, ExitCode (*job)(const Ranks&, const GenerateSettings&)) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: [mpirun -n RANKS] pyracast %s --config FILE --prompts FILE --output DIR [settings]\n\n%s", name,
                describe(settings_of<GenerateSettings>()).c_str());
    return 0;
  }
  const auto deadline = [](const GenerateSettings& settings) {
    check_values(settings);
    return 1.5 * settings.collective_timeout;   // a team's own deadline says more, and comes first
  };
  return on_ranks<GenerateSettings>(argc, argv, deadline, job);
}

/// What is finished stays; the index is that of all.
ExitCode extend_dataset(const Ranks& ranks, const GenerateSettings& settings) {
  ranks.on_first([&] {
    require(std::filesystem::exists(OutputLayout{settings.output}.run()), settings.output.string(),
            ": holds no dataset that could be extended (run.json is not there); give the --output of one that is finished, or use generate");
  });
  return generate_dataset(ranks, settings);
}

}  // namespace

int generate(int argc, char** argv) { return on_ranks_of("generate", argc, argv, generate_dataset); }

int extend(int argc, char** argv) { return on_ranks_of("extend", argc, argv, extend_dataset); }

}  // namespace pyracast
