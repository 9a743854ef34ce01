// `pyracast reproduce`: stored samples made again from what the dataset says of them, in a scratch folder, and compared.
#include <algorithm>
#include <cstdio>
#include <map>

#include "base/counted.hpp"
#include "base/stopwatch.hpp"
#include "comm/team.hpp"
#include "dataset/sample_differences.hpp"
#include "dataset/scratch_folder.hpp"
#include "dataset/shard_reader.hpp"
#include "dataset/shard_writer.hpp"
#include "forecast/manifest_buckets.hpp"
#include "jobs/jobs.hpp"
#include "production/audit.hpp"
#include "production/fingerprint.hpp"
#include "production/memory_check.hpp"
#include "production/sample_records.hpp"
#include "production/stored_sample.hpp"
#include "production/video_requests.hpp"
#include "runtime/device.hpp"
#include "runtime/node_weights.hpp"
#include "runtime/on_ranks.hpp"
#include "runtime/share_text.hpp"
#include "runtime/team_answer.hpp"
#include "runtime/version.hpp"

namespace pyracast {

namespace {

void check_settings(const ReproduceSettings& settings) {
  require(!settings.output.empty(), "which dataset's samples to make again is not known: give --output DIR");
  require(std::filesystem::is_directory(settings.output / "shards"), settings.output.string(), ": holds no dataset (no shards/)");
  require(settings.count >= 0 && settings.sample >= 0, "count and sample must not be negative");
  require(settings.id.empty() != (settings.count == 0), "which samples to make again is not known: give --id ID (and --sample K), or --count N");
}

/// The samples of one fingerprint: one model, opened by all teams.
class Remaker {
 public:
  /// Of `samples` those of this fingerprint are to be made. Throws AgreedError where they cannot be: the same pixels would not come out here, or
  /// they do not fit the memory.
  Remaker(const Ranks& ranks, const Team& team, const GenerateSettings& settings, const RunSettings& run, const std::string& fingerprint,
          const std::vector<StoredSample>& samples)
      : team_(team), settings_(settings), fingerprint_(fingerprint), model_(find_model_of_run(ranks)),
        requests_(settings_, *model_), audit_(settings_), backend_(open_device(settings_.model, ranks, settings_.comm == "mpi")),
        channels_(open_channels(team, settings_.cfg_parallel, settings_.collective_timeout,
                                transport_of(settings_.comm, settings_.model.device, team.size), *backend_)) {
    const Fingerprint now = fingerprint_of(ranks, settings_, model_->files(), *backend_);
    if (const std::string other = differences(recorded_anew(run.content), now.content); !other.empty())
      throw AgreedError(concat("the samples of fingerprint ", fingerprint, " cannot be made again here; what decides their pixels is not the same:",
                               other,
                               "\nGive the model's own files (--snapshot and the like), on a machine with that instruction set, or that kind of "
                               "GPU."),
                        ExitCode::fingerprint_mismatch);
    stored_outputs_ = fit_ranks(ranks, team.leads(), *backend_, videos_of(samples)).stored_outputs;
    pipeline_ = open_on_nodes(ranks, *model_, settings_.model, *backend_, channels_);
  }

  /// Makes the sample again and compares; the outcome is only the team's first rank's. False where the team was asked to stop.
  bool operator()(const StoredSample& stored, const std::filesystem::path& dataset, SampleDifferences& out) {
    // With torch's noise it is not stored whether the row named the seed; the run's own is tried first.
    const bool may_be_either = settings_.noise == "torch" && stored.record.seed == settings_.seed;
    for (const bool names_seed : {!may_be_either, true}) {
      if (!make(stored, names_seed, dataset, out)) return false;
      int32_t differs = !out.differing.empty();
      channels_.for_numbers().broadcast({&differs, DType::int32, {1}}, 0);
      if (!may_be_either || !differs) break;
    }
    return true;
  }

 private:
  const Team& team_;
  GenerateSettings settings_;
  std::string fingerprint_;
  std::unique_ptr<VideoModel> model_;
  VideoRequests requests_;
  Audit audit_;
  std::unique_ptr<Backend> backend_;
  TeamChannels channels_;
  OutputPlace stored_outputs_ = OutputPlace::device;
  std::unique_ptr<VideoPipeline> pipeline_;

  /// One of each size, for their memory.
  VideosToFit videos_of(const std::vector<StoredSample>& samples) const {
    std::map<std::pair<VideoShape, double>, VideoRequest> sizes;   // and by guidance, which may have one half only
    for (const StoredSample& sample : samples) {
      if (sample.fingerprint != fingerprint_) continue;
      const VideoRequest request = requests_(row_of(sample.record, settings_, false));
      sizes.emplace(std::pair(shape_of(request), request.guidance), request);
    }
    VideosToFit videos{.model = *model_, .settings = settings_.model, .requests = {}, .policies = {requests_.broadcast()},
                       .rank = rank_without_folder(settings_.model, settings_.comm, team_.size, settings_.cfg_parallel, true),
                       .ways_out = {.larger_teams = true, .text_encoding = "", .other_videos = false}, .shares_gpus = settings_.comm == "mpi",
                       .tells = false};
    for (const auto& [size, request] : sizes) videos.requests.push_back(request);
    return videos;
  }

  std::unique_ptr<VideoModel> find_model_of_run(const Ranks& ranks) const {
    ranks.on_first([&] {
      try {
        find_model(settings_.model);
      } catch (const Error& error) {
        throw Error(concat(error.what(), "\nThe run had the model there; give where it lies now (--snapshot and the like)."), error.code);
      }
    });
    return find_model(settings_.model);
  }

  bool make(const StoredSample& stored, bool names_seed, const std::filesystem::path& dataset, SampleDifferences& out) {
    const Prompt row = row_of(stored.record, settings_, names_seed);
    const auto sample = uint32_t(stored.record.sample);
    const VideoRequest request = requests_(row);
    auto again = make_audited(audit_, row, sample, team_.leads(), [&](bool reuses) {
      const auto noise = noise_of(row, sample, request.steps, settings_);
      VideoRun run{*noise};
      run.read_reference = reader_of_references(settings_);
      if (reuses) run.broadcast = requests_.broadcast();
      run.stored_outputs = stored_outputs_;
      run.keeps_step_latents = saves(settings_, "step-latents");
      run.agree = [&](Outcome own) { return agreed(channels_.for_numbers(), own == Outcome::going_on && asked_to_stop() ? Outcome::stopped : own); };
      return pipeline_->generate(request, run);
    });
    if (!again) return false;
    if (!team_.leads()) return true;
    VideoResult& result = again->result;
    // Through the same files as generate: what is compared has been written and read.
    const ScratchFolder scratch;
    ShardWriterOptions options;
    options.output = scratch.path();
    options.fingerprint = fingerprint_;
    options.configuration = "{}";
    options.crf = settings_.crf;
    options.keep_pixels = saves(settings_, "frames");
    ShardWriter writer(options);
    SampleRecord record = record_of(row, sample, request, result, settings_, requests_.broadcast());
    if (again->finding) again->finding->write_to(record);
    const bool failed = result.outcome == Outcome::failed;
    writer.submit(std::move(record), failed ? std::nullopt : std::optional<Video>(std::move(result.video)));
    writer.close();
    const ShardReader made(sealed_shards(OutputLayout{scratch.path()}.shards()).at(0));
    out = compare_samples(stored.whole(), dataset, made.whole(0), scratch.path());
    if (failed && !out.differing.empty()) out.first += concat(": it failed: ", result.reason);
    return true;
  }
};

Json version_differences(const Json& before) {
  Json out = Json::object();
  const Json now = version_json();
  for (const auto& [name, version] : now.items())
    if (before.is_object() && before.contains(name) && before.at(name) != version) out[name] = {{"then", before.at(name)}, {"now", version}};
  return out;
}

Json described(const StoredSample& stored, const SampleDifferences& comparison, const RunSettings& run, double seconds) {
  Json json{{"id", stored.record.id}, {"sample", stored.record.sample}, {"equal", comparison.differing.empty()}, {"first", comparison.first},
            {"differing", comparison.differing}, {"compared", comparison.compared}, {"video_sha256", stored.record.video_sha256},
            {"seconds", seconds}};
  if (!comparison.differing.empty()) json["versions"] = version_differences(run.version);
  return json;
}

/// The lists of all teams' first ranks, on rank 0.
Json gathered(const Ranks& ranks, const Json& own) {
  const std::string text = own.dump();
  int length = int(text.size());
  std::vector<int> lengths(size_t(ranks.size())), starts(lengths.size());
  check_mpi(MPI_Gather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, 0, ranks.world()), "collecting what was made again");
  for (size_t i = 1; i < starts.size(); ++i) starts[i] = starts[i - 1] + lengths[i - 1];
  std::string all(ranks.rank() == 0 ? size_t(starts.back() + lengths.back()) : 0, ' ');
  check_mpi(MPI_Gatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(), starts.data(), MPI_CHAR, 0, ranks.world()),
            "collecting what was made again");
  Json joined = Json::array();
  if (ranks.rank() == 0)
    for (size_t i = 0; i < starts.size(); ++i)
      for (Json& item : Json::parse(all.substr(size_t(starts[i]), size_t(lengths[i])))) joined.push_back(std::move(item));
  return joined;
}

void print(const Json& result) {
  for (const Json& sample : result.at("samples")) {
    const std::string name = concat(sample.at("id").get<std::string>(), " sample ", sample.at("sample").get<int64_t>());
    if (sample.at("equal")) {
      std::printf("equal    %s: MP4 %.16s… and all of %s (%.1f s)\n", name.c_str(), sample.at("video_sha256").get<std::string>().c_str(),
                  counted(sample.at("compared").size(), "value").c_str(), sample.at("seconds").get<double>());
      continue;
    }
    std::printf("DIFFERS  %s: %s\n", name.c_str(), sample.at("first").get<std::string>().c_str());
    if (sample.at("differing").size() > 1) std::printf("         what differs: %s\n", sample.at("differing").dump().c_str());
    for (const auto& [library, versions] : sample.at("versions").items())
      std::printf("         %s was %s, is %s\n", library.c_str(), versions.at("then").dump().c_str(), versions.at("now").dump().c_str());
  }
  std::printf("%lld of %s equal\n", (long long)result.at("equal").get<int64_t>(), counted(result.at("samples").size(), "sample is",
      "samples are").c_str());
}

ExitCode run(const Ranks& ranks, const ReproduceSettings& settings) {
  ranks.on_first([&] { check_settings(settings); });
  const auto samples = stored_samples_from_bytes(text_of_first(ranks, [&] { return to_bytes(chosen_samples(settings)); }));
  const Team team = split_into_teams(ranks, settings.ranks_per_video);
  set_threads(settings.threads, ranks);
  const auto all_settings = settings_of_dataset(settings.output);
  const ScratchFolder scratch;
  std::vector<std::string> fingerprints;
  for (const StoredSample& sample : samples)
    if (std::find(fingerprints.begin(), fingerprints.end(), sample.fingerprint) == fingerprints.end()) fingerprints.push_back(sample.fingerprint);
  Json own = Json::array();
  bool stopped = false;
  for (const std::string& fingerprint : fingerprints) {
    const auto found = all_settings.find(fingerprint);
    ranks.on_first([&] {
      require(found != all_settings.end() && found->second.configuration.is_object(), settings.output.string(),
              ": neither run.json nor work/settings holds the settings of fingerprint ", fingerprint,
              ": what made these samples is not known any more");
    });
    Remaker remake(ranks, team, settings_of_run(found->second, settings, scratch.path()), found->second, fingerprint, samples);
    int turn = 0;
    for (const StoredSample& sample : samples) {
      if (sample.fingerprint != fingerprint || turn++ % team.count != team.index || stopped) continue;
      const Stopwatch watch;
      SampleDifferences comparison;
      stopped = !remake(sample, settings.output, comparison);
      if (!stopped && team.leads()) own.push_back(described(sample, comparison, found->second, watch.seconds()));
    }
  }
  Json result{{"samples", gathered(ranks, own)}};
  int counts[3] = {stopped, 0, 0};
  if (ranks.rank() == 0) {
    for (const Json& sample : result["samples"]) ++counts[sample.at("equal") ? 1 : 2];
    result["equal"] = counts[1], result["different"] = counts[2], result["version"] = version_json();
    if (settings.json) std::printf("%s\n", result.dump(1, ' ', false, Json::error_handler_t::replace).c_str());
    else print(result);
  }
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, counts, 3, MPI_INT, MPI_MAX, ranks.world()), "agreeing on the end");
  return counts[2] ? ExitCode::check_failed : counts[0] ? ExitCode::more_to_do : ExitCode::complete;
}

}  // namespace

int reproduce(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: [mpirun -n RANKS] pyracast reproduce --output DIR --id ID [--sample K] [settings]\n\nMakes stored samples again from the "
                "dataset's own metadata, in a scratch folder, and compares MP4 bytes and all stored values.\nEnds with 0: all are equal; 1: one "
                "differs, and where first; 65: other weights, settings or instruction set; 75: stopped.\n\n%s",
                describe(settings_of<ReproduceSettings>()).c_str());
    return 0;
  }
  const auto deadline = [](const ReproduceSettings& settings) {
    require(settings.collective_timeout > 0, "collective-timeout is ", settings.collective_timeout, " s, expected more than 0");
    return 1.5 * settings.collective_timeout;
  };
  return on_ranks<ReproduceSettings>(argc, argv, deadline, run);
}

}  // namespace pyracast
