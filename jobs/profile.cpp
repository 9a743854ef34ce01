// `pyracast profile`: how much each branch's output changes from one denoising step to the next.
#include <cstdio>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "dataset/layout.hpp"
#include "jobs/jobs.hpp"
#include "production/fingerprint.hpp"
#include "production/profiled_sample.hpp"
#include "report/branch_profile.hpp"
#include "runtime/device.hpp"
#include "runtime/node_weights.hpp"
#include "runtime/on_ranks.hpp"
#include "runtime/signals.hpp"
#include "runtime/version.hpp"

namespace pyracast {

namespace {

/// Everything that can be wrong before anything is computed, a missing gnuplot included.
void check_settings(const ProfileSettings& settings) {
  const GenerateSettings& s = settings.generate;
  const std::string& outputs = settings.outputs;
  require(outputs == "gated" || outputs == "ungated", "outputs is \"", outputs, "\", expected gated or ungated");
  check_settings_of_samples(settings, "profile");
  samples_of(s, settings.samples, VideoRequests(s, *find_model(s.model)));
  open_device(s.model);
  line_chart_svg({.series = {{"any", {0, 1}, {0, 1}}}});
}

/// This rank's samples, every size-th of all; nothing where the job was asked to stop.
std::optional<std::vector<ProfiledSample>> profile_samples(const Ranks& ranks, const ProfileSettings& settings,
                                                           const std::vector<SampleToMeasure>& samples, VideoPipeline& pipeline) {
  std::vector<ProfiledSample> profiled;
  for (size_t i = size_t(ranks.rank()); i < samples.size(); i += size_t(ranks.size())) {
    if (ranks.rank() == 0)
      std::fprintf(stderr, "pyracast: sample %zu of %zu (%s)\n", i + 1, samples.size(), samples[i].row.id.c_str());
    auto sample = profile_sample(settings, samples[i], pipeline);
    if (!sample) return std::nullopt;
    profiled.push_back(std::move(*sample));
  }
  return profiled;
}

/// The profile of all samples, added up on rank 0 in the manifest's order, so that its bits do not depend on the ranks.
std::optional<BranchProfile> collect(const Ranks& ranks, const std::vector<ProfiledSample>& own, size_t samples) {
  std::optional<BranchProfile> profile;
  if (ranks.rank() == 0) profile.emplace(own.front().timesteps);
  for (size_t i = 0; i < samples; ++i) {
    const int owner = int(i % size_t(ranks.size()));
    if (ranks.rank() != 0 && ranks.rank() != owner) continue;
    // What rank 0 receives has the sites and lengths of its own first sample.
    auto changes = ranks.rank() == owner ? own[i / size_t(ranks.size())].changes : own.front().changes;
    for (auto& [site, curve] : changes) {
      if (owner == 0) break;
      const int bytes = int(curve.size() * sizeof(Change));
      MPI_Request request;
      check_mpi(ranks.rank() == owner ? MPI_Isend(curve.data(), bytes, MPI_BYTE, 0, 0, ranks.world(), &request)
                                      : MPI_Irecv(curve.data(), bytes, MPI_BYTE, owner, 0, ranks.world(), &request),
                "collecting the changes");
      await(request, "collecting the changes");
    }
    if (profile) profile->add(changes);
  }
  return profile;
}

void write_profile(const ProfileSettings& settings, const BranchProfile& profile, const Json& content) {
  const std::filesystem::path& output = settings.generate.output;
  make_folder(output);
  Json json{{"version", version_json()}, {"settings", to_json(settings)}, {"snapshot", content.at("snapshot")},
            {"device", content.at("device")}};
  json.update(profile_json(profile));
  write_atomically(output / "profile.csv", profile_csv(profile));
  write_atomically(output / "profile.json", json.dump(1) + "\n");
  write_atomically(output / "profile.svg", line_chart_svg(profile_chart(profile)));
  std::printf("%s\n%s, outputs %s; profile.csv, profile.json and profile.svg are in %s\n",
              profile_table(profile).c_str(), counted(profile.samples(), "sample").c_str(), settings.outputs.c_str(), output.c_str());
}

ExitCode run(const Ranks& ranks, const ProfileSettings& settings) {
  ranks.on_first([&] { check_settings(settings); });
  const auto model = find_model(settings.generate.model);
  const std::vector<SampleToMeasure> samples = samples_of(settings.generate, settings.samples, VideoRequests(settings.generate, *model));
  set_threads(settings.generate.model.threads, ranks);
  const auto backend = open_device(settings.generate.model, ranks);
  fit_ranks(ranks, true, *backend, videos_to_profile(*model, settings.generate.model, samples));
  const Json content = fingerprint_of(ranks, settings.generate, model->files(), *backend).content;
  const TeamChannels alone = lone_channels();
  const auto pipeline = open_on_nodes(ranks, *model, settings.generate.model, *backend, alone);

  const auto own = profile_samples(ranks, settings, samples, *pipeline);
  if (any_rank(ranks, !own)) {
    if (ranks.rank() == 0) std::fprintf(stderr, "pyracast: stopped before the end; nothing was written\n");
    return ExitCode::more_to_do;
  }
  const auto profile = collect(ranks, *own, samples.size());
  ranks.on_first([&] { write_profile(settings, *profile, content); });
  return ExitCode::complete;
}

}  // namespace

int profile(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: [mpirun -n RANKS] pyracast profile --config FILE --prompts FILE --output DIR [settings]\n\n%s",
                describe(settings_of<ProfileSettings>()).c_str());
    return 0;
  }
  constexpr double deadline = 900;   // seconds; ranks compute by themselves
  return on_ranks<ProfileSettings>(argc, argv, [](const ProfileSettings&) { return deadline; }, run);
}

}  // namespace pyracast
