#include "dataset/retry.hpp"

#include <algorithm>

#include "base/file.hpp"
#include "dataset/derive.hpp"
#include "dataset/failure_class.hpp"
#include "dataset/journal.hpp"
#include "dataset/layout.hpp"
#include "dataset/rewrite_shard.hpp"
#include "dataset/shard_file.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

class Retry {
 public:
  Retry(const RetryOptions& options, const TellStep& tell) : options_(options), tell_(tell), layout_{options.output} {}

  Retried operator()() {
    const auto shards = sealed_shards(layout_.shards());
    for (size_t i = 0; i < shards.size(); ++i) {
      if (tell_) tell_("shards read", i + 1, shards.size());
      take_shard(shards[i]);
    }
    if (fs::is_directory(layout_.journal()))
      for (const auto& entry : fs::directory_iterator(layout_.journal()))
        if (entry.path().extension() == ".journal") take_journal(entry.path());
    // Also after a kill between the last shard and this line.
    const bool index_is_to_make = !options_.dry_run && !fs::exists(layout_.index()) && fs::exists(layout_.run());
    if (index_is_to_make) derive(options_.output, read_json(layout_.run()), tell_);
    return std::move(result_);
  }

 private:
  const RetryOptions& options_;
  const TellStep& tell_;
  OutputLayout layout_;
  Retried result_;
  bool index_removed_ = false;

  bool wanted(const SampleRecord& row) const {
    if (row.status == int64_t(SampleStatus::done)) return false;
    return options_.classes.empty() || std::any_of(options_.classes.begin(), options_.classes.end(), [&](const std::string& name) {
      return row.reason.find(name) != std::string::npos || failure_class(row.reason) == name;
    });
  }

  /// Whether any row is wanted; counts them all.
  bool count(const std::vector<SampleRecord>& rows) {
    bool any = false;
    for (const SampleRecord& row : rows) {
      if (row.status == int64_t(SampleStatus::done)) continue;
      ++(wanted(row) ? result_.undone : result_.kept)[failure_class(row.reason)];
      any = any || wanted(row);
    }
    return any;
  }

  void take_shard(const fs::path& path) {
    if (!count(read_shard(path)) || options_.dry_run) return;
    if (!index_removed_) remove_index(options_.output);   // it would name the old shards' hashes
    index_removed_ = true;
    rewrite_shard(path, [&](const SampleRecord& row) { return !wanted(row); });
  }

  void take_journal(const fs::path& path) {
    constexpr size_t magic = 8, fingerprint_size = 64;
    const std::string text = read_file(path);
    if (text.size() < magic + fingerprint_size) return;
    const std::string fingerprint = text.substr(magic, fingerprint_size);
    std::vector<SampleRecord> rows;
    const JournalEnd end = read_journal(std::as_bytes(std::span(text)), fingerprint,
                                        [&](SampleRecord row) { rows.push_back(std::move(row)); });
    if (!end.problem.empty() && std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return wanted(row); })) {
      result_.notes.push_back(concat(path.string(), ": ", end.problem,
                                     "; its failed samples are left until generate has put it in order"));
      return;
    }
    if (!count(rows) || options_.dry_run) return;
    const fs::path temporary = path.string() + ".tmp";
    fs::remove(temporary);
    {
      JournalWriter journal(temporary, fingerprint);
      for (const SampleRecord& row : rows)
        if (!wanted(row)) journal.append(row);
    }
    publish(temporary, path);
  }
};

}  // namespace

Retried retry_failed(const RetryOptions& options, const TellStep& tell) { return Retry(options, tell)(); }

}  // namespace pyracast
