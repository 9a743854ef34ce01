// `pyracast generate`: makes every prompt's video that the dataset does not hold yet.
#include <omp.h>
#include <unistd.h>

#include "base/file.hpp"
#include "base/log.hpp"
#include "dataset/derive.hpp"
#include "dataset/manifest_on_ranks.hpp"
#include "dataset/shard_writer.hpp"
#include "dataset/work_queue.hpp"
#include "jobs/device.hpp"
#include "jobs/finished_samples.hpp"
#include "jobs/fingerprint.hpp"
#include "jobs/jobs.hpp"
#include "jobs/open_sora_requests.hpp"
#include "jobs/progress_lines.hpp"
#include "jobs/sample_records.hpp"
#include "jobs/signals.hpp"

namespace pyracast {

namespace {

/// The team's answer: the gravest of its ranks'.
Outcome agreed(const Team& team, Outcome own) {
  int gravest = int(own);
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &gravest, 1, MPI_INT, MPI_MAX, team.comm), "agreeing on an evaluation");
  return Outcome(gravest);
}

int run(const Ranks& ranks, const GenerateSettings& settings) {
  const SnapshotPaths snapshot = find_snapshot(settings.model);
  const OpenSoraRequests requests(settings, OpenSoraDefaults::from_json(snapshot.index, snapshot.index_file.string()));
  const Team team = split_into_teams(ranks, settings.ranks_per_video);
  const OutputFolder output(ranks, settings.output);
  const Manifest manifest = build_manifest(
      ranks, settings.prompts.string(), settings.output,
      {.strict = settings.strict, .check = [&](const Prompt& row) { return requests.refusal(row); },
       .cost = [&](const Prompt& row) { return requests.cost(row); }});

  const auto backend = open_device(settings.model, ranks);
  const Fingerprint fingerprint = fingerprint_of(ranks, settings, snapshot, *backend);
  ranks.on_first([&] { continue_or_begin(settings.output, fingerprint); });

  FinishedSamples finished(manifest);
  ranks.on_first([&] { finished.scan(settings.output); });
  ShardWriter shards = open_shards(settings, team, fingerprint);
  OpenSora pipeline(snapshot, *backend, weight_dtype(settings.model.dtype));

  uint64_t failed = 0;
  bool stopped = false;
  {
    WorkQueue queue(ranks, team, manifest, finished.predicate(), asked_to_stop);
    ProgressLines lines(ranks, queue, settings.verbose);
    const auto agree = [&](Outcome own) {
      return agreed(team, own == Outcome::going_on && queue.stopping() ? Outcome::stopped : own);
    };
    while (const auto claim = queue.next()) {
      const Prompt row = manifest.row(claim->prompt);
      for (uint32_t s = claim->first_sample; s < claim->first_sample + claim->samples && !stopped; ++s) {
        SampleTask task(settings, requests(row), row, s);
        const OpenSoraResult result = pipeline.generate(task.request(), {*task.noise(), agree});
        if (result.outcome == Outcome::stopped) {
          stopped = true;
        } else if (team.leads()) {
          shards.submit(task.record(result, ranks, team), result);
          queue.report(result.outcome == Outcome::going_on, result.outcome == Outcome::failed);
        }
      }
    }
    stopped = stopped || queue.stopped();
  }
  return 0;
}

}  // namespace

}  // namespace pyracast
