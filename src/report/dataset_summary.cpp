#include "report/dataset_summary.hpp"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <set>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "dataset/failure_class.hpp"
#include "dataset/journal.hpp"
#include "dataset/layout.hpp"
#include "dataset/manifest.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/shard_reader.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

constexpr size_t attention_branches = 4;   // the first branches: self and cross attentions

/// Some of many samples, in any order the same ones.
class ChosenSamples {
 public:
  explicit ChosenSamples(size_t most) : most_(most) {}

  void offer(const SampleRecord& row) {
    if (most_ == 0) return;
    std::string key = sha256(concat(row.id, '\n', row.sample));
    if (chosen_.size() == most_ && key >= chosen_.rbegin()->first) return;
    SampleRecord kept = row;
    kept.step_seconds.clear();
    kept.step_counts.clear();
    chosen_.emplace(std::move(key), std::move(kept));
    if (chosen_.size() > most_) chosen_.erase(std::prev(chosen_.end()));
  }

  /// By id and number.
  std::vector<SampleRecord> in_order() const {
    std::vector<SampleRecord> rows;
    for (const auto& [key, row] : chosen_) rows.push_back(row);
    std::sort(rows.begin(), rows.end(),
              [](const auto& a, const auto& b) { return std::tie(a.id, a.sample) < std::tie(b.id, b.sample); });
    return rows;
  }

 private:
  size_t most_;
  std::map<std::string, SampleRecord> chosen_;
};

/// What samples take the same time on like nodes: height, width, frames and steps.
using Kind = std::array<int64_t, 4>;

struct Work {
  int64_t samples = 0;
  double seconds = 0;
};

class Gathering {
 public:
  Gathering(const fs::path& folder, size_t clips, size_t flagged) : layout_{folder}, clips_(clips), flagged_(flagged) {
    out_.folder = folder;
  }

  DatasetSummary operator()(const TellStep& tell) {
    require(fs::is_directory(layout_.shards()) || fs::is_directory(layout_.journal()), layout_.root.string(),
            ": holds neither shards/ nor journal/: expected the --output folder of `pyracast generate`");
    if (fs::exists(layout_.run())) reading(layout_.run(), [&] { out_.run = read_json(layout_.run()); });
    if (fs::exists(layout_.work() / "manifest.index"))
      reading(layout_.work() / "manifest.index", [&] {
        const Manifest manifest(layout_.root);
        out_.asked_for = manifest.total_samples();
        out_.rejected = manifest.rejected();
      });
    const auto unsealed = read_journals();
    std::set<std::pair<std::string, int64_t>> in_journals;
    for (const SampleRecord& row : unsealed) in_journals.emplace(row.id, row.sample);
    const auto shards = sealed_shards(layout_.shards());
    for (size_t i = 0; i < shards.size(); ++i)
      reading(shards[i], [&] {
        if (tell) tell("shards read", i + 1, shards.size());
        const ShardReader shard(shards[i]);
        for (const SampleRecord& row : shard.rows_with_steps()) {
          in_journals.erase({row.id, row.sample});   // sealed, and not yet cleared from the journal
          add(row);
        }
        out_.configuration = Json::parse(shard.configuration());
      });
    for (const SampleRecord& row : unsealed)
      if (in_journals.erase({row.id, row.sample})) {
        ++out_.in_journals;
        add(row);
      }
    if (out_.run.contains("configuration")) out_.configuration = out_.run["configuration"];
    if (fs::exists(layout_.near_duplicates())) reading(layout_.near_duplicates(), [&] { read_near_duplicates(); });
    return finished();
  }

 private:
  OutputLayout layout_;
  ChosenSamples clips_, flagged_;
  DatasetSummary out_;
  std::map<Kind, Work> kinds_;
  struct Node {
    NodeTotals totals;
    std::set<int64_t> teams;
    std::map<Kind, Work> kinds;
  };
  std::map<std::string, Node> nodes_;
  int64_t missing_ = 0;

  /// What is wrong with a file is told, and the others are read all the same.
  template <class Read>
  void reading(const fs::path& path, Read read) {
    try {
      read();
    } catch (const std::exception& error) {
      const std::string what = error.what(), name = path.string();
      out_.problems.push_back(what.starts_with(name) ? what : name + ": " + what);
    }
  }

  std::vector<SampleRecord> read_journals() {
    std::vector<SampleRecord> rows;
    if (!fs::is_directory(layout_.journal())) return rows;
    for (const auto& entry : fs::directory_iterator(layout_.journal())) {
      if (entry.path().extension() != ".journal") continue;
      reading(entry.path(), [&] {
        const std::string text = read_file(entry.path());   // not mapped: a job that is running may cut it
        const auto bytes = std::as_bytes(std::span(text));
        const std::string fingerprint = journal_fingerprint(bytes);
        if (fingerprint.empty()) return;   // it is being begun
        read_journal(bytes, fingerprint, [&](SampleRecord row) {
          SampleRecord::arrays([](const char*, size_t, auto& array) { array = {}; }, row);
          row.pixels.reset();
          rows.push_back(std::move(row));
        });
      });
    }
    return rows;
  }

  void add(const SampleRecord& row) {
    const bool failed = row.status != int64_t(SampleStatus::done);
    ++(failed ? out_.failed : out_.done);
    out_.ends.push_back(row.ended);
    out_.audit.add(row);
    AttemptTotals& attempt = out_.attempts.try_emplace(row.attempt, AttemptTotals{0, 0, row.started, row.ended}).first->second;
    ++(failed ? attempt.failed : attempt.done);
    attempt.began = std::min(attempt.began, row.started);
    attempt.ended = std::max(attempt.ended, row.ended);
    Node& node = nodes_[row.host];
    ++(failed ? node.totals.failed : node.totals.done);
    node.teams.insert(row.team);
    if (failed) add_failure(row);
    else add_video(row, node);
  }

  void add_failure(const SampleRecord& row) {
    FailureTotals& failures = out_.failures.try_emplace(failure_class(row.reason), FailureTotals{0, row.id, row.reason, row.sample})
                                  .first->second;
    ++failures.samples;
  }

  void add_video(const SampleRecord& row, Node& node) {
    std::error_code error;
    const auto bytes = fs::file_size(layout_.root / row.video, error);
    if (error) ++missing_;
    else out_.video_bytes += int64_t(bytes);
    if (row.fps > 0) out_.video_seconds += double(row.frames) / row.fps;
    ++out_.sizes[{row.height, row.width, row.frames}];
    ++out_.steps[row.steps];
    const Kind kind{row.height, row.width, row.frames, row.steps};
    for (Work* work : {&kinds_[kind], &node.kinds[kind]}) {
      ++work->samples;
      work->seconds += row.making_seconds();
    }
    add_steps(row);
    clips_.offer(row);
    if (row.quality_flags.empty()) return;
    flagged_.offer(row);
    ++out_.flagged;
    for (const char* flag : quality_flags) out_.with_flag[flag] += has_flag(row.quality_flags, flag);
  }

  void add_steps(const SampleRecord& row) {
    out_.stages.text += row.text_seconds;
    out_.stages.decoding += row.decode_seconds;
    out_.stages.encoding += row.encode_seconds;
    out_.stages.writing += row.write_seconds;
    const size_t evaluations = row.step_seconds.size();
    if (evaluations == 0) return;
    out_.by_evaluations[evaluations].add(row);
    for (size_t e = 0; e < evaluations; ++e) {
      const auto& seconds = row.step_seconds[e];
      const auto& counts = row.step_counts[e];
      out_.stages.denoising += std::accumulate(seconds.begin(), seconds.end(), 0.0);
      for (size_t branch = 0; branch < attention_branches; ++branch) {
        out_.attentions += row.step_counts.front()[branch];   // the first evaluation computes everything
        out_.attentions_reused += row.step_counts.front()[branch] - counts[branch];
      }
      out_.communication.bytes_sent += counts[step_counter("all_to_all_bytes")];
      out_.communication.bytes_avoided += counts[step_counter("all_to_all_bytes_avoided")];
      out_.communication.gather_bytes += counts[step_counter("gather_bytes")];
      for (size_t branch = 0; branch < size_t(branch_count); ++branch) {
        out_.communication.all_to_alls[branch] += counts[step_counter("spatial_attention_all_to_alls") + branch];
        out_.communication.bytes[branch] += counts[step_counter("spatial_attention_bytes") + branch];
      }
    }
  }

  void read_near_duplicates() {
    out_.alike_is_known = true;
    constexpr size_t most_files = 3;
    std::ifstream lines(layout_.near_duplicates());
    for (std::string line; std::getline(lines, line); ++out_.alike) {
      const Json json = Json::parse(line);
      AlikeGroup& group = out_.alike_groups[json.at("group").get<int64_t>()];
      ++group.videos;
      if (group.files.size() < most_files) group.files.push_back(json.at("file_name").get<std::string>());
    }
  }

  DatasetSummary finished() {
    std::sort(out_.ends.begin(), out_.ends.end());
    for (auto& [host, node] : nodes_) {
      NodeTotals& totals = node.totals;
      totals.host = host;
      totals.teams = int64_t(node.teams.size());
      for (const auto& [kind, work] : node.kinds) {
        totals.seconds += work.seconds;
        totals.expected_seconds += double(work.samples) * kinds_[kind].seconds / double(kinds_[kind].samples);
      }
      out_.nodes.push_back(totals);
    }
    std::stable_sort(out_.nodes.begin(), out_.nodes.end(),
                     [](const auto& a, const auto& b) { return a.relative_time() > b.relative_time(); });
    if (missing_) out_.problems.push_back(concat(counted(missing_, "video is", "videos are"), " not there: the same generate command makes ",
        missing_ == 1 ? "it" : "them", " again"));
    out_.clips = clips_.in_order();
    out_.flagged_clips = flagged_.in_order();
    return std::move(out_);
  }
};

}  // namespace

void StepTotals::add(const SampleRecord& row) {
  const size_t evaluations = row.step_seconds.size();
  ++samples;
  seconds.resize(evaluations);
  computed.resize(evaluations);
  bytes_sent.resize(evaluations);
  bytes_avoided.resize(evaluations);
  for (size_t e = 0; e < evaluations; ++e) {
    for (size_t phase = 0; phase < step_phases.size(); ++phase) seconds[e][phase] += row.step_seconds[e][phase];
    for (size_t branch = 0; branch < size_t(branch_count); ++branch) computed[e][branch] += row.step_counts[e][branch];
    bytes_sent[e] += row.step_counts[e][step_counter("all_to_all_bytes")];
    bytes_avoided[e] += row.step_counts[e][step_counter("all_to_all_bytes_avoided")];
  }
}

std::optional<double> StepTotals::computed_share(size_t evaluation, Branch branch) const {
  const int64_t all = computed.front()[size_t(branch)];
  if (all == 0) return std::nullopt;
  return double(computed.at(evaluation)[size_t(branch)]) / double(all);
}

DatasetSummary summarize_dataset(const fs::path& folder, size_t clips, size_t flagged, const TellStep& tell) {
  return Gathering(folder, clips, flagged)(tell);
}

}  // namespace pyracast
