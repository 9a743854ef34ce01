#include "production/sample_maker.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/stopwatch.hpp"
#include "dataset/layout.hpp"
#include "production/sample_records.hpp"
#include "runtime/device.hpp"
#include "runtime/team_answer.hpp"

namespace pyracast {

namespace {

/// Where an earlier job left a sample: what all ranks of the team have read alike, else nothing.
std::optional<VideoProgress> progress_of(const SampleProgress& files, Communicator& team) {
  std::optional<VideoProgress> progress = files.newest();
  const std::vector<int32_t> evaluations = answers_of(team, progress ? int32_t(progress->result.evaluations.size()) : 0);
  if (*std::max_element(evaluations.begin(), evaluations.end()) != *std::min_element(evaluations.begin(), evaluations.end())) return std::nullopt;
  return progress;
}

/// What an audit has found, loudly where it is beyond the bound.
void tell_of_audit(const SampleRecord& record, const AuditFinding& finding, std::optional<double> bound) {
  const std::string text = concat(record.id, " sample ", record.sample, ": ", finding.text());
  if (finding.audit == SampleAudit::within) return spdlog::info("{}", text);
  if (finding.audit == SampleAudit::not_finite) return spdlog::warn("{}", text);
  spdlog::warn("BEYOND THE BOUND of {} dB: {}{}", *bound, text, finding.audit == SampleAudit::replaced ? "; it is kept as made without reuse" : "");
}

}  // namespace

std::filesystem::path progress_of_audits(const std::filesystem::path& output) { return OutputLayout{output}.work() / "audit"; }

SampleMaker::SampleMaker(const Job& job, VideoPipeline& pipeline, WorkQueue& queue, ShardWriter* shards, FailuresInARow& failures, TimeLeft time,
                         int idle_cores)
    : job_(job), pipeline_(pipeline), queue_(queue), shards_(shards), failures_(failures), time_(std::move(time)) {
  if (job.settings.model.device == "cuda") beside_.emplace(pipeline);
  else if (idle_cores > 0) beside_.emplace(pipeline, idle_cores);
}

bool SampleMaker::operator()(const Prompt& row, const VideoRequest& request, uint32_t number) {
  const double cost = (job_.audit.chooses(row, number) ? 2 : 1) * VideoRequests::cost(request), started = steady_seconds();
  const bool made = is_time_for(cost) && make({row, request, number, system_seconds()});
  time_.took(cost, steady_seconds() - started + (beside_ ? beside_->last_seconds() : 0));
  return made;
}

void SampleMaker::finish() {
  if (beside_) beside_->finish();
}

bool SampleMaker::is_time_for(double cost) const {
  // A long one is begun as well: how far it comes is saved.
  const bool is_left_inside = !job_.saves.never() && time_.guess(cost) > job_.saves.seconds && time_.suffices_for_evaluation();
  const Outcome own = time_.suffices_for(cost) || is_left_inside ? Outcome::going_on : Outcome::stopped;
  if (agreed(job_.channels.for_numbers(), own) == Outcome::going_on) return true;
  spdlog::info("the next sample takes about {:.0f} s, and {:.0f} s are left", time_.guess(cost), time_.seconds());
  return false;
}

bool SampleMaker::make(const Sample& sample) {
  const bool decodes = !beside_ || job_.audit.chooses(sample.row, sample.number) || sample.request.clips > 1;   // else beside the next one
  auto made = make_audited(job_.audit, sample.row, sample.number, job_.team.leads(), [&](bool reuses) {
    VideoResult result = make_pass(sample, reuses, decodes);
    if (reuses && result.outcome != Outcome::stopped) savings_.add(result);
    return result;
  });
  if (!made) return false;
  if (made->finding) savings_.add(*made->finding);
  const DecodingBeside::Keep keep = job_.team.leads() ? keeper(sample, made->finding) : nullptr;
  if (!decodes && made->result.outcome == Outcome::going_on) {
    job_.channels.set_doing("decoding");
    beside_->begin(sample.request, std::move(made->result), keep);
  } else if (keep) {
    const double ended = system_seconds();
    finish();
    keep(std::move(made->result), ended);
  }
  return true;
}

VideoResult SampleMaker::make_pass(const Sample& sample, bool reuses, bool decodes) {
  const GenerateSettings& settings = job_.settings;
  const std::string& id = sample.row.id;
  const auto noise = noise_of(sample.row, sample.number, sample.request.steps, settings);
  VideoRun run{*noise};
  run.read_reference = reader_of_references(settings);
  if (reuses) run.broadcast = job_.requests.broadcast();
  run.stored_outputs = job_.stored_outputs;
  run.decodes = decodes;
  run.takes_frames = job_.team.leads();
  run.keeps_step_latents = saves(settings, "step-latents");
  SampleProgress progress(reuses ? settings.output : progress_of_audits(settings.output), {job_.fingerprint, id, int64_t(sample.number)}, job_.saves,
                          job_.earlier_saves);
  auto continued = job_.saves.never() ? std::nullopt : progress_of(progress, job_.channels.for_numbers());
  const char* const pass = reuses ? "" : " without reuse";
  if (continued) {
    spdlog::info("{} sample {}{} goes on after {} evaluations", id, sample.number, pass, continued->result.evaluations.size());
    ++continued->result.continuations;
    continued->result.continued_after = int64_t(continued->result.evaluations.size());
    run.continued = &*continued;
  }
  if (job_.team.leads() && !job_.saves.never()) run.keeper = &progress;
  double last_agreed = steady_seconds();
  run.agree = [&](Outcome own) {
    time_.evaluation_took(steady_seconds() - last_agreed);
    if (beside_) beside_->keep_finished();   // what is decoded is not lost with this one
    const bool is_up = !job_.saves.never() && !time_.suffices_for_evaluation(progress.foreseen());
    const Outcome answer = agreed(job_.channels.for_numbers(), own < Outcome::stopped && (queue_.stopping() || is_up) ? Outcome::stopped : own);
    last_agreed = steady_seconds();
    return answer;
  };
  VideoResult result = pipeline_.generate(sample.request, run);
  if (result.outcome == Outcome::stopped)
    spdlog::info("{} sample {}{} is left after {} evaluations; {:.0f} s are left", id, sample.number, pass,
                 result.evaluations.size(), time_.seconds());
  return result;
}

DecodingBeside::Keep SampleMaker::keeper(const Sample& sample, const std::optional<AuditFinding>& finding) {
  return [this, row = sample.row, request = sample.request, number = sample.number, started = sample.started, finding](VideoResult result,
                                                                                                                      double ended) {
    SampleRecord record = record_of(row, number, request, result, job_.settings, job_.requests.broadcast());
    if (finding) finding->write_to(record);
    record.host = job_.ranks.node_name();
    record.rank = job_.ranks.rank();
    record.team = job_.team.index;
    record.attempt = job_.attempt;
    record.started = started;
    record.ended = ended;
    const bool failed = result.outcome == Outcome::failed;
    if (failed) spdlog::warn("{} sample {} failed: {}", row.id, number, result.reason);
    else spdlog::info("{} sample {} made in {:.3f} s", row.id, number, record.ended - started);
    if (finding) tell_of_audit(record, *finding, job_.settings.audit_bound);
    shards_->submit(std::move(record), failed ? std::nullopt : std::optional<Video>(std::move(result.video)));
    queue_.report(!failed, failed);
    failures_.add(failed);
    if (failures_.are_too_many())
      spdlog::error("{} samples failed here one after the other, the last one with: {}; the job ends (give-up-after)", failures_.now(),
                    result.reason);
  };
}

}  // namespace pyracast
