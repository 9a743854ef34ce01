#pragma once
// How far a dataset is, from its shards, journals and logs: while a job runs, and after it died.
#include <map>
#include <optional>

#include "base/tell_step.hpp"
#include "dataset/audit_tally.hpp"
#include "dataset/sample_tally.hpp"

namespace pyracast {

/// What one team has made in the latest run.
struct TeamStatus {
  std::string host;
  uint64_t samples = 0, failed = 0;
  double busy_seconds = 0;      ///< of its samples, added up; without their audits
  double longest_seconds = 0;   ///< of one sample
  double cost = 0;              ///< of its samples, in the manifest's unit
  double last_ended = 0;        ///< seconds since 1970
  /// Cost a second, over the median of all teams; 1 where there is nothing to compare with.
  double speed = 1;
  std::string straggles;        ///< in what way; empty: it does not
};

struct DatasetStatus {
  std::string output;
  std::string running;          ///< who writes into the folder; empty: nobody
  std::string last_words;       ///< how the last run said it ended; empty: it has not said so
  uint64_t asked_for = 0, done = 0, failed = 0, left = 0, not_asked_for = 0, rejected = 0, shards = 0;
  std::map<std::string, uint64_t> failures;      ///< by class
  AuditTally audit;                              ///< of all runs
  int64_t attempt = 0;                           ///< the latest run, counted from 0
  std::map<int64_t, TeamStatus> teams;           ///< of the latest run, by number
  double started = 0, last_ended = 0;            ///< of the latest run's samples, seconds since 1970; 0: none yet
  double samples_a_second = 0;                   ///< of the latest run
  std::optional<double> seconds_left;            ///< at the latest run's pace, by cost
  std::vector<std::string> missing;              ///< what the dataset's own files name and is not there: shards, folders, parts of the manifest
  std::vector<std::string> warnings;             ///< the newest lines of the logs
};

/// Reads the status of one folder again and again: sealed shards, which never change, are read once.
class StatusReader {
 public:
  /// Throws Error where the folder holds no dataset. `tell`: the first look may take minutes.
  explicit StatusReader(const std::filesystem::path& output, TellStep tell = {});

  /// `now`: seconds since 1970. Memory: a bit a sample and some bytes a shard; changes no file.
  DatasetStatus read(double now);

 private:
  struct Row;
  std::filesystem::path output_;
  TellStep tell_;
  std::optional<Manifest> manifest_;
  std::optional<SampleTally> tally_;
  std::map<std::string, std::filesystem::file_time_type> read_;    // shards
  std::map<std::string, uintmax_t> journal_sizes_;
  std::map<std::string, uint64_t> failures_;
  struct Attempt {
    std::map<int64_t, TeamStatus> teams;
    double started = 0, last_ended = 0, cost = 0;
    uint64_t samples = 0;
  };
  std::map<int64_t, Attempt> attempts_;
  AuditTally audit_;
  uint64_t not_asked_for_ = 0;
  double cost_met_ = 0, cost_of_all_ = 0;

  void begin();
  bool still_fits() const;
  void take(const Row& row, bool from_journal);
  static std::vector<Row> rows_of(const std::filesystem::path& shard);
  std::vector<std::string> read_new_shards();
  void read_journals();
};

}  // namespace pyracast
