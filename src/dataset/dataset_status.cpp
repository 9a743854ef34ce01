#include "dataset/dataset_status.hpp"

#include <algorithm>
#include <thread>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/median.hpp"
#include "dataset/child_process.hpp"
#include "dataset/failure_class.hpp"
#include "dataset/folder_lock.hpp"
#include "dataset/index_file.hpp"
#include "dataset/journal.hpp"
#include "dataset/layout.hpp"
#include "dataset/log_tail.hpp"
#include "dataset/shard_file.hpp"

namespace pyracast {

namespace fs = std::filesystem;

/// What a status needs of a sample.
struct StatusReader::Row {
  std::string id, reason, host;
  int64_t sample, status, team, attempt;
  double started, ended, audit_seconds;
  AuditedSample audited;
};

namespace {

/// The kept manifest. A run that begins replaces its files: another look finds them.
Manifest opened(const fs::path& output) {
  for (int tries = 0;; ++tries) {
    try {
      return Manifest(output);
    } catch (const Error&) {
      if (tries == 5) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
}

std::string complaint_of_child(const std::function<void()>& act) {
  try {
    in_child_process([&] { return act(), ""; });
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

constexpr double slow = 1.5;        // times the median's seconds for the same cost
constexpr double silent = 3;        // times its longest sample without another one

void judge_teams(std::map<int64_t, TeamStatus>& teams, bool running, double now) {
  std::vector<double> speeds;
  for (const auto& [number, team] : teams)
    if (team.busy_seconds > 0 && team.cost > 0) speeds.push_back(team.cost / team.busy_seconds);
  const double typical = median(speeds);
  for (auto& [number, team] : teams) {
    if (speeds.size() > 1 && team.busy_seconds > 0 && team.cost > 0) team.speed = team.cost / team.busy_seconds / typical;
    if (team.speed * slow < 1) team.straggles = concat("needs ", 1 / team.speed, " times the median's time");
    if (running && now - team.last_ended > silent * team.longest_seconds + 30)
      team.straggles = concat("has ended no sample for ", int64_t(now - team.last_ended), " s; its longest took ",
                              team.longest_seconds, " s");
  }
}

/// What index.h5 and run.json, which the last run wrote when it ended, name and is not there.
std::vector<std::string> missing_in(const fs::path& output) {
  constexpr size_t most = 20;
  const OutputLayout layout{output};
  std::vector<std::string> missing;
  for (const fs::path& folder : {layout.shards(), layout.videos()})
    if (!fs::is_directory(folder)) missing.push_back(concat("the folder ", folder.filename().string(), "/ is not there"));
  if (fs::exists(layout.index())) {
    size_t shards = 0;
    for (const std::string& name : shards_in_index(layout.index()).names)
      if (!fs::exists(output / name) && shards++ < most) missing.push_back(name + " is not there, and index.h5 lists it");
    if (shards > most) missing.push_back(concat("and ", shards - most, " shards more that index.h5 lists"));
  }
  const Json run = fs::exists(layout.run()) ? Json::parse(read_file(layout.run()), nullptr, false) : Json();
  if (run.is_object() && run.contains("missing_parts"))
    missing.push_back(concat("parts ", run["missing_parts"].dump(), " of the manifest were not joined (pyracast join adds them)"));
  return missing;
}

}  // namespace

StatusReader::StatusReader(const fs::path& output, TellStep tell) : output_(output), tell_(std::move(tell)) {
  require(fs::exists(OutputLayout{output}.work() / "manifest.index"), output.string(),
          ": holds no work/manifest.index: expected the --output folder of a `pyracast generate` that has read its manifest");
}

void StatusReader::begin() {
  manifest_.emplace(opened(output_));
  tally_.emplace(*manifest_);
  read_.clear(), journal_sizes_.clear(), failures_.clear(), attempts_.clear(), audit_ = {};
  not_asked_for_ = 0;
  cost_met_ = cost_of_all_ = 0;
  for (uint64_t prompt = 0; prompt < manifest_->size(); ++prompt)
    cost_of_all_ += manifest_->entry(prompt).cost * manifest_->entry(prompt).samples;
}

/// Whether the manifest and the shards read so far are still the folder's; a run that begins may change them.
bool StatusReader::still_fits() const {
  if (!manifest_ || opened(output_).fingerprint() != manifest_->fingerprint()) return false;
  return std::all_of(read_.begin(), read_.end(), [](const auto& shard) {
    std::error_code error;
    return fs::last_write_time(shard.first, error) == shard.second && !error;
  });
}

void StatusReader::take(const Row& row, bool from_journal) {
  const bool failed = row.status != int64_t(SampleStatus::done);
  const auto meeting = tally_->add(row.id, row.sample, failed);
  if (meeting == SampleTally::Meeting::not_asked_for) not_asked_for_ += !from_journal;
  if (meeting != SampleTally::Meeting::first) return;
  if (failed) ++failures_[failure_class(row.reason)];
  const double cost = manifest_->entry(*manifest_->find_by_hash(row.id)).cost;
  cost_met_ += cost;
  const double seconds = row.ended - row.started - row.audit_seconds;
  audit_.add(row.audited, seconds, row.audit_seconds);
  Attempt& attempt = attempts_[row.attempt];
  attempt.started = attempt.samples ? std::min(attempt.started, row.started) : row.started;
  attempt.last_ended = std::max(attempt.last_ended, row.ended);
  attempt.cost += cost;
  ++attempt.samples;
  TeamStatus& team = attempt.teams[row.team];
  team.host = row.host;
  ++team.samples;
  team.failed += failed;
  team.busy_seconds += seconds;
  team.longest_seconds = std::max(team.longest_seconds, row.ended - row.started);
  team.cost += cost;
  team.last_ended = std::max(team.last_ended, row.ended);
}

std::vector<StatusReader::Row> StatusReader::rows_of(const fs::path& shard) {
  const hdf5::Handle file = hdf5::open_file(shard);
  const auto texts = [&](const char* name) { return hdf5::read_dataset<std::string>(file, name); };
  const auto numbers = [&](const char* name) { return hdf5::read_dataset<int64_t>(file, name); };
  const auto ids = texts("content/id"), hosts = texts("provenance/host");
  const auto samples = numbers("content/sample"), statuses = numbers("content/status"), teams = numbers("provenance/team"),
             attempts = numbers("provenance/attempt"), audits = numbers("content/audit");
  const auto measured = [&](const char* name) { return hdf5::read_dataset<double>(file, name); };
  const auto started = measured("provenance/started"), ended = measured("provenance/ended"), audit_seconds = measured("provenance/audit_seconds"),
             psnr = measured("content/audit_psnr"), ssim = measured("content/audit_ssim"), mse = measured("content/audit_mse");
  const bool any_failed = std::any_of(statuses.begin(), statuses.end(), [](int64_t s) { return s != int64_t(SampleStatus::done); });
  const auto reasons = any_failed ? texts("content/reason") : std::vector<std::string>(ids.size());
  std::vector<Row> rows;
  for (size_t i = 0; i < ids.size(); ++i)
    rows.push_back({ids[i], reasons.at(i), hosts.at(i), samples.at(i), statuses.at(i), teams.at(i), attempts.at(i), started.at(i),
                    ended.at(i), audit_seconds.at(i), {ids[i], samples[i], audits.at(i), psnr.at(i), ssim.at(i), mse.at(i)}});
  return rows;
}

/// Counts the shards that were not there before; gives what is wrong with those that cannot be read.
std::vector<std::string> StatusReader::read_new_shards() {
  std::vector<fs::path> shards;
  for (const fs::path& path : sealed_shards(OutputLayout{output_}.shards()))
    if (!read_.contains(path)) shards.push_back(path);
  constexpr size_t shards_a_child = 256;   // all in one would be looked at for minutes before the first one counts
  bool all_sound = false;
  std::vector<std::string> warnings;
  for (size_t i = 0; i < shards.size(); ++i) {
    if (tell_) tell_("shards read", i + 1, shards.size());
    // First where a crash of HDF5 does no harm: many in one child, and one by one only where that fails.
    if (i % shards_a_child == 0) all_sound = complaint_of_child([&] {
      for (size_t one = i; one < std::min(shards.size(), i + shards_a_child); ++one) rows_of(shards[one]);
    }).empty();
    const fs::path& path = shards[i];
    std::error_code gone;
    const auto written = fs::last_write_time(path, gone);
    const std::string complaint = all_sound ? "" : complaint_of_child([&] { rows_of(path); });
    if (!complaint.empty()) {
      warnings.push_back(concat(path.string(), ": ", complaint, " (pyracast verify says more)"));
      continue;
    }
    for (const Row& row : rows_of(path)) take(row, false);
    read_[path] = written;
  }
  return warnings;
}

void StatusReader::read_journals() {
  const OutputLayout layout{output_};
  if (!fs::is_directory(layout.journal())) return;
  for (const auto& entry : fs::directory_iterator(layout.journal())) {
    std::error_code gone;
    const auto size = entry.file_size(gone);
    constexpr uintmax_t magic = 8, header = magic + 64;
    if (gone || entry.path().extension() == ".tmp" || size <= header || journal_sizes_[entry.path()] == size) continue;
    std::string text;
    try {
      text = ReadFile(entry.path()).read(0, size_t(size));   // not mapped: its team may empty it at any moment
    } catch (const Error&) {
      continue;
    }
    journal_sizes_[entry.path()] = size;
    read_journal(std::as_bytes(std::span(text)), text.substr(magic, header - magic), [&](const SampleRecord& r) {
      take({r.id, r.reason, r.host, r.sample, r.status, r.team, r.attempt, r.started, r.ended, r.audit_seconds,
            {r.id, r.sample, r.audit, r.audit_psnr, r.audit_ssim, r.audit_mse}}, true);
    });
  }
}

DatasetStatus StatusReader::read(double now) {
  if (!still_fits()) begin();
  const OutputLayout layout{output_};
  DatasetStatus status{.output = output_.string(), .running = holder_of_lock(output_).value_or("")};
  read_journals();   // before the shards: what is sealed meanwhile is met in one or both
  status.warnings = read_new_shards();
  status.asked_for = tally_->asked_for(), status.done = tally_->done(), status.failed = tally_->failed(), status.left = tally_->left();
  status.not_asked_for = not_asked_for_, status.rejected = manifest_->rejected();
  status.shards = read_.size(), status.failures = failures_, status.audit = audit_;
  if (!attempts_.empty()) {
    const auto& [number, latest] = *attempts_.rbegin();
    status.attempt = number, status.teams = latest.teams, status.started = latest.started, status.last_ended = latest.last_ended;
    const double seconds = latest.last_ended - latest.started;
    if (seconds > 0) status.samples_a_second = double(latest.samples) / seconds;
    if (seconds > 0 && latest.cost > 0) status.seconds_left = std::max(0.0, cost_of_all_ - cost_met_) / latest.cost * seconds;
    judge_teams(status.teams, !status.running.empty() && status.left > 0, now);
  }
  if (status.left == 0) status.seconds_left = 0;
  try {
    status.missing = missing_in(output_);
  } catch (const Error& error) {
    status.warnings.push_back(concat("what is missing is not known: ", error.what(), " (pyracast verify says more)"));
  }
  status.last_words = last_words(layout.logs());
  for (std::string& line : newest_warnings(layout.logs(), 5)) status.warnings.push_back(std::move(line));
  return status;
}

}  // namespace pyracast
