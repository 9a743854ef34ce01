#include "dataset/verify.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <span>
#include <sstream>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "base/share.hpp"
#include "dataset/child_process.hpp"
#include "dataset/failure_class.hpp"
#include "dataset/folder_lock.hpp"
#include "dataset/for_each_on_threads.hpp"
#include "dataset/journal.hpp"
#include "dataset/kept_rows.hpp"
#include "dataset/layout.hpp"
#include "dataset/mp4.hpp"
#include "dataset/run_settings.hpp"
#include "dataset/sample_tally.hpp"
#include "dataset/scratch_folder.hpp"
#include "dataset/shard_check.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/verify_parts.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// Ids of the rows that the last run refused although they can be read.
std::vector<uint64_t> refused_ids(const fs::path& output) {
  std::vector<uint64_t> hashes;
  const fs::path path = output / "rejected.jsonl";
  if (!fs::exists(path)) return hashes;
  const std::string text = read_file(path);
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const Json row = Json::parse(text.substr(begin, end - begin), nullptr, false);
    if (row.is_object() && row.contains("id")) hashes.push_back(hash_of_id(row["id"].get<std::string>()));
  }
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

/// The manifest that says what must be there.
class WantedManifest {
 public:
  WantedManifest(const VerifyOptions& options, const TellStep& tell) {
    if (options.prompts.empty()) {
      require(fs::exists(OutputLayout{options.output}.work() / "manifest.index"), options.output.string(),
              ": holds no work/manifest.index, so which samples must be there is not known: give the manifest with --prompts FILE");
      try {
        manifest_.emplace(options.output);
      } catch (const Error& error) {
        throw Error(error.what(), error.code == ExitCode::environment ? error.code : ExitCode::damaged);
      }
      return;
    }
    folder_.emplace();
    const auto refused = refused_ids(options.output);
    manifest_.emplace(Manifest::build(options.prompts.string(), folder_->path(), {.check = [&](const Prompt& row) {
      const bool was_refused = std::binary_search(refused.begin(), refused.end(), hash_of_id(row.id));
      return was_refused ? std::optional<std::string>("the run refused it") : std::nullopt;
    }, .tell = tell}));
  }
  const Manifest& operator*() const { return *manifest_; }
  const Manifest* operator->() const { return &*manifest_; }

 private:
  std::optional<ScratchFolder> folder_;
  std::optional<Manifest> manifest_;
};

/// What the system does not let this process read may be sound: it is no finding.
void throw_if_unreadable(const fs::path& path, const Error& error) {
  if (error.code == ExitCode::environment) throw error;
  if (::access(path.c_str(), R_OK) != 0 && errno == EACCES) fail_at_the_disk(path, "cannot be opened", EACCES);
}

class Verifier {
 public:
  Verifier(const VerifyOptions& options, const TellStep& tell)
      : options_(options), tell_(tell), layout_{options.output}, manifest_(options, tell), tally_(*manifest_),
        settings_(settings_of_dataset(options.output)), kept_(options.output) {}

  Verification operator()() {
    found_.output = options_.output.string();
    const auto holder = holder_of_lock(options_.output);
    found_.running = holder.value_or("");
    if (found_.running.empty()) derived_.emplace(options_.output);
    if (options_.prompts.empty()) check_manifest();
    found_.rejected = manifest_->rejected();
    const auto shards = sealed_shards(layout_.shards());
    for (size_t first = 0; first < shards.size(); first += shards_a_child)
      take_shards(shards, first, std::min(first + shards_a_child, shards.size()));
    take_journals();
    found_.shards = shards.size();
    found_.asked_for = tally_.asked_for(), found_.done = tally_.done(), found_.failed = tally_.failed();
    found_.left = tally_.left(), found_.not_asked_for = tally_.not_asked_for();
    if (found_.not_asked_for)
      note(concat(counted(found_.not_asked_for, "sample is", "samples are"),
          " there that the manifest does not ask for (an earlier or longer one did)"));
    if (samples_of_.size() > 1)
      for (const auto& [fingerprint, count] : samples_of_) note(concat(counted(count, "sample has", "samples have"), " the settings of fingerprint ",
          fingerprint));
    if (kept_samples_)
      note(concat(counted(kept_samples_, "sample is", "samples are"),
          " of rows that the manifest has no longer, kept by --on-change only-new (work/kept.jsonl)"));
    found_.settled = derived_ && derived_->end(found_) && found_.left == 0 && found_.journals == 0;
    look_for_strays(options_.output, std::move(owned_videos_), *manifest_, tally_, found_);
    if (holder != holder_of_lock(options_.output))
      throw Error(concat(options_.output.string(), ": a job began or ended while this was looking; verify again"),
                  ExitCode::environment);
    return std::move(found_);
  }

 private:
  const VerifyOptions& options_;
  const TellStep& tell_;
  OutputLayout layout_;
  WantedManifest manifest_;
  SampleTally tally_;
  Verification found_;
  bool manifest_is_sound_ = true;
  std::map<std::string, RunSettings> settings_;      // by the fingerprints that the folder may hold; empty: not known
  KeptRows kept_;
  uint64_t kept_samples_ = 0;
  std::map<std::string, uint64_t> samples_of_;       // by fingerprint
  std::string fingerprint_;                          // where the settings are not known: of the first shard or journal
  std::vector<uint64_t> owned_videos_;     // hashes of their paths
  std::optional<DerivedFiles> derived_;    // of a dataset that no job writes

  void note(std::string line) { found_.notes.push_back(std::move(line)); }
  void add(Defect defect, const fs::path& path, std::string what) {
    found_.add({defect, path.lexically_relative(layout_.root).string(), std::move(what)});
  }

  void check_manifest() {
    try {
      manifest_->check();
    } catch (const Error& error) {
      manifest_is_sound_ = false;
      add(Defect::manifest_damaged, layout_.work() / "manifest.index", error.what());
    }
  }

  bool fits_the_rest(const std::string& fingerprint) {
    if (!settings_.empty()) return settings_.contains(fingerprint);
    if (fingerprint_.empty()) fingerprint_ = fingerprint;
    return fingerprint == fingerprint_;
  }

  std::string rest() const {
    std::string all = fingerprint_;
    for (const auto& [fingerprint, settings] : settings_) all += (all.empty() ? "" : " or ") + fingerprint;
    return all;
  }

  static constexpr size_t shards_a_child = 32;   // starting a process costs as much as reading a small shard

  /// Reads shards to their ends where a crash of HDF5 does no harm.
  static std::vector<CheckedShard> check_in_child(std::span<const fs::path> shards) {
    std::istringstream lines(in_child_process([&] {
      std::string text;
      for (const fs::path& path : shards) {
        const CheckedShard checked = check_shard(path);
        text += concat(checked.sha256, ' ', checked.bytes, '\n');
      }
      return text;
    }));
    std::vector<CheckedShard> all(shards.size());
    for (CheckedShard& checked : all) lines >> checked.sha256 >> checked.bytes;
    return all;
  }

  /// [first, last) of all shards: in one child, and one by one only where that fails.
  void take_shards(std::span<const fs::path> all, size_t first, size_t last) {
    std::vector<CheckedShard> checked;
    try {
      checked = check_in_child(all.subspan(first, last - first));
    } catch (const Error&) {   // whose it is, is found below
    }
    for (size_t i = first; i < last; ++i) {
      take_shard(all[i], checked.empty() ? std::nullopt : std::optional(checked[i - first]));
      if (tell_) tell_("shards read, and their videos", i + 1, all.size());
    }
  }

  /// `checked`: where it was read to its end already.
  void take_shard(const fs::path& path, std::optional<CheckedShard> checked) {
    std::vector<SampleRecord> rows;
    std::string fingerprint;
    try {
      if (!checked) checked = check_in_child(std::span(&path, 1)).at(0);
      fingerprint = shard_fingerprint(path);
      rows = read_shard(path, ShardCheck::columns);   // it fits its seal
      found_.array_bytes += checked->bytes;
    } catch (const Error& error) {
      throw_if_unreadable(path, error);
      add(Defect::shard_damaged, path, error.what());
    }
    if (derived_) derived_->take(path, checked ? checked->sha256 : sha256_of_file(path), rows);
    if (!rows.empty() && !fits_the_rest(fingerprint))
      return add(Defect::shard_foreign, path, concat("its fingerprint is ", fingerprint, ", the rest has ", rest()));
    std::vector<SampleRecord> with_video;
    if (!rows.empty()) samples_of_[fingerprint] += rows.size();
    for (SampleRecord& row : rows)
      if (take_row(row, path) == SampleTally::Meeting::again)
        add(Defect::sample_twice, path, concat("sample ", row.sample, " of \"", row.id, "\" stands in another row already"));
      else if (row.status == int64_t(SampleStatus::done)) with_video.push_back(std::move(row));
    check_videos(with_video);
  }

  SampleTally::Meeting take_row(const SampleRecord& row, const fs::path& in) {
    const bool failed = row.status != int64_t(SampleStatus::done);
    const auto meeting = tally_.add(row.id, row.sample, failed);
    if (meeting != SampleTally::Meeting::first) return meeting;
    if (failed) ++found_.failures[failure_class(row.reason)];
    if (!manifest_is_sound_) return meeting;
    const Prompt wanted = manifest_->row(*manifest_->find_by_hash(row.id));
    if (wanted.text != row.prompt || (wanted.seed && *wanted.seed != row.seed)) {
      if (kept_.has(row.id, row.sample)) {
        ++kept_samples_;
        return meeting;
      }
      const std::string seed = wanted.seed ? concat(", seed ", *wanted.seed) : "";
      add(Defect::sample_differs, in, concat("sample ", row.sample, " of \"", row.id, "\" was made of \"", row.prompt, "\", seed ",
                                             row.seed, "; the manifest says \"", wanted.text, "\"", seed));
    }
    return meeting;
  }

  void check_videos(const std::vector<SampleRecord>& rows) {
    std::vector<std::optional<Finding>> findings(rows.size());
    std::atomic<uint64_t> bytes = 0, checked = 0;
    for_each_on_threads(rows.size(), size_t(options_.threads), [&](size_t i) { findings[i] = check_video(rows[i], bytes, checked); });
    for (const SampleRecord& row : rows) owned_videos_.push_back(hash_of_id(row.video));
    for (auto& finding : findings)
      if (finding) found_.add(std::move(*finding));
    found_.videos += rows.size();
    found_.videos_checked += checked;
    found_.video_bytes += bytes;
  }

  std::optional<Finding> check_video(const SampleRecord& row, std::atomic<uint64_t>& bytes, std::atomic<uint64_t>& checked) const {
    const fs::path path = layout_.root / row.video;
    const auto finding = [&](Defect defect, const std::string& what) {
      return Finding{defect, row.video, concat("sample ", row.sample, " of \"", row.id, "\": ", what)};
    };
    if (row.video.empty() || !fs::is_regular_file(path)) return finding(Defect::video_missing, "its video is not there");
    if (!is_in_share(row.video, options_.videos_percent)) return std::nullopt;
    try {
      bytes += fs::file_size(path);
      ++checked;
      if (const std::string sha = sha256_of_file(path); sha != row.video_sha256)
        return finding(Defect::video_changed, concat("the file's SHA-256 is ", sha, ", expected ", row.video_sha256));
      const Video video = check_mp4(path);
      const int64_t height = row.height + row.height % 2, width = row.width + row.width % 2;   // as yuv420p wants them
      if (video.frames != row.frames || video.height != height || video.width != width)
        return finding(Defect::video_undecodable, concat("it decodes to ", counted(video.frames, "frame"), " of ", video.height, " x ",
                                                         video.width,
                                                         ", expected ", row.frames, " of ", height, " x ", width));
    } catch (const Error& error) {
      throw_if_unreadable(path, error);
      return finding(Defect::video_undecodable, error.what());
    }
    return std::nullopt;
  }

  void take_journals() {
    if (!fs::is_directory(layout_.journal())) return;
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(layout_.journal()))
      if (entry.path().extension() != ".tmp") paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    for (const fs::path& path : paths) take_journal(path);
    found_.journals = paths.size();
    if (!paths.empty() && found_.running.empty())
      note(concat(counted(paths.size(), "journal holds", "journals hold"), ' ', counted(found_.in_journals, "sample"),
                  " that no shard holds; the same generate command folds them in"));
  }

  void take_journal(const fs::path& path) {
    std::string text;
    try {
      const ReadFile file(path);   // not mapped: a running job may empty it at any moment
      text = file.read(0, size_t(file.size()));
    } catch (const Error& error) {
      throw_if_unreadable(path, error);
      return note(error.what());
    }
    constexpr size_t magic = 8, size = 64;
    if (text.size() < magic + size) return note(concat(path.filename().string(), ": was torn at its creation; it holds nothing"));
    std::string fingerprint = text.substr(magic, size);
    if (!fits_the_rest(fingerprint)) fingerprint = settings_.empty() ? fingerprint_ : settings_.begin()->first;   // says what is wrong
    std::vector<SampleRecord> with_video;
    const JournalEnd end = read_journal(std::as_bytes(std::span(text)), fingerprint, [&](SampleRecord record) {
      if (take_row(record, path) == SampleTally::Meeting::again) return;   // sealed as well, just before a kill
      ++found_.in_journals;
      if (record.status == int64_t(SampleStatus::done)) with_video.push_back(std::move(record));
    });
    check_videos(with_video);
    if (end.problem.ends_with("is torn"))
      note(concat(path.filename().string(), ": ", end.problem, ", as a kill leaves it; ", counted(end.records, "sample before it is",
          "samples before it are"), " sound"));
    else if (!end.problem.empty())
      add(Defect::journal_damaged, path, concat(end.problem, "; ", counted(end.records, "sample before it is", "samples before it are"), " sound"));
  }
};

}  // namespace

std::string name_of(Defect defect) {
  static constexpr const char* names[] = {"manifest-damaged", "shard-damaged", "shard-foreign", "shard-missing", "shard-changed",
                                          "journal-damaged", "sample-twice", "sample-differs", "video-missing", "video-changed",
                                          "video-undecodable", "index-differs", "metadata-differs", "run-unreadable", "stray"};
  return names[size_t(defect)];
}

ExitCode Verification::code() const {
  if (!findings.empty()) return ExitCode::damaged;
  if (!settled) return ExitCode::more_to_do;
  return failed ? ExitCode::complete_with_failures : ExitCode::complete;
}

Verification verify(const VerifyOptions& options, const TellStep& tell) {
  require(fs::is_directory(options.output), options.output.string(), ": is no folder; expected the --output of a generate");
  require(options.videos_percent >= 0 && options.videos_percent <= 100, "videos is ", options.videos_percent, " %, expected 0 to 100");
  require(options.threads >= 1, "threads is ", options.threads, ", expected 1 or more");
  return Verifier(options, tell)();
}

}  // namespace pyracast
