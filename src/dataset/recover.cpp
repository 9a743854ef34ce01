#include "dataset/recover.hpp"

#include <algorithm>
#include <cassert>
#include <optional>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "dataset/for_each_on_threads.hpp"
#include "dataset/journal.hpp"
#include "dataset/layout.hpp"
#include "dataset/rewrite_shard.hpp"
#include "dataset/second_rows.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/shard_reader.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// That look for the videos of a shard: on a file system of a cluster each look waits for a server, and nothing else is done meanwhile.
constexpr size_t threads = 16;

/// Shards of columns are smaller, those of many arrays are larger: to read them all would take as long as to copy them.
constexpr uintmax_t most_bytes_read_always = 64 << 20;

constexpr const char* second_row = "stands in another row as well";   // what is wrong with a row, though not with its video

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

class Recovery {
 public:
  Recovery(const fs::path& output, const std::map<std::string, std::string>& configurations,
           const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say,
           RecoverReads reads)
      : layout_{output}, configurations_(configurations), each_(each), say_(say), reads_(reads) {}

  void operator()() {
    remove_temporary_files(layout_.root);
    for (const fs::path& path : sealed_shards(layout_.shards())) keep_shard(path);
    for (const fs::path& path : files_of(layout_.journal())) fold_journal(path);
  }

 private:
  OutputLayout layout_;
  const std::map<std::string, std::string>& configurations_;   // by fingerprint
  const std::function<void(const FinishedSample&)>& each_;
  const std::function<void(const std::string&)>& say_;
  RecoverReads reads_;
  SecondRows is_second_;   // of those that were not given up

  /// The one in its header if the folder may hold it, else one that may: then reading gives no record, and says why.
  std::string fingerprint_of_journal(const fs::path& path) const {
    const std::string found = journal_fingerprint(MappedFile(path).bytes());
    return configurations_.contains(found) ? found : configurations_.begin()->first;
  }

  /// What is wrong with the video of a sample whose shard or journal was written at `recorded`; empty: nothing.
  std::string fault_of(const SampleRecord& row, fs::file_time_type recorded) const {
    if (row.status != int64_t(SampleStatus::done)) return "";
    const fs::path video = layout_.root / row.video;
    if (!fs::is_regular_file(video)) return "is missing";
    // It was written before the record that names it: what is newer was changed by something else.
    if (reads_ == RecoverReads::what_changed && fs::last_write_time(video) < recorded) return "";
    return sha256_of_file(video) == row.video_sha256 ? "" : "does not fit its checksum";
  }

  void give_up(const SampleRecord& row, const std::string& fault) const {
    const fs::path video = layout_.root / row.video;
    const std::string where = fs::exists(video) ? concat(" and was moved to ", move_to_quarantine(layout_, video).string()) : "";
    say_(concat(video.string(), ": ", fault, where, "; sample ", row.sample, " of \"", row.id, "\" is made again"));
  }

  void keep_shard(const fs::path& path) {
    std::vector<SampleRecord> rows;
    std::string fingerprint;
    if (!sound(path, [&] { rows = rows_of_this_dataset(path, fingerprint); })) return;
    std::vector<std::string> faults(rows.size());
    const fs::file_time_type recorded = fs::last_write_time(path);
    for_each_on_threads(rows.size(), threads, [&](size_t i) { faults[i] = fault_of(rows[i], recorded); });
    for (size_t i = 0; i < rows.size(); ++i)
      if (faults[i].empty() && is_second_(rows[i])) faults[i] = second_row;
    const bool whole = std::all_of(faults.begin(), faults.end(), [](const std::string& fault) { return fault.empty(); });
    if ((!whole || reads_ == RecoverReads::everything) && !sound(path, [&] { read_arrays(path); })) return;
    if (!whole && !sound(path, [&] { take_out(path, faults); })) return;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!faults[i].empty()) continue;
      each_({rows[i], fingerprint});
    }
  }

  /// Does `read`; false where that shows that the shard is broken, which is put aside then. What the system refuses to
  /// read may be sound: that ends the job.
  bool sound(const fs::path& path, const std::function<void()>& read) const try {
    read();
    return true;
  } catch (const Error& error) {
    if (error.code == ExitCode::environment) throw;
    say_(concat(error.what(), "; it was moved to ", move_to_quarantine(layout_, path).string(), ", its samples are made again"));
    return false;
  }

  std::vector<SampleRecord> rows_of_this_dataset(const fs::path& path, std::string& fingerprint) const {
    if (reads_ == RecoverReads::everything || fs::file_size(path) <= most_bytes_read_always || changed_since_the_index(path)) check_shard_seal(path);
    fingerprint = shard_fingerprint(path);
    require(configurations_.contains(fingerprint), path.string(), ": belongs to a run of other settings (fingerprint ", fingerprint,
            ", this run's is ", known(), ')');
    return read_shard(path, ShardCheck::columns);
  }

  std::string known() const {
    std::string all;
    for (const auto& [fingerprint, configuration] : configurations_) all += (all.empty() ? "" : " or ") + fingerprint;
    return all;
  }

  /// The index was made of shards whose checksums fitted.
  bool changed_since_the_index(const fs::path& shard) const {
    return !fs::exists(layout_.index()) || fs::last_write_time(shard) >= fs::last_write_time(layout_.index());
  }

  static void read_arrays(const fs::path& path) {
    const ShardReader shard(path, ShardCheck::columns);
    for (size_t i = 0; i < shard.size(); ++i) shard.whole(i);
  }

  /// The samples whose videos have a fault, and second rows, out of their shard.
  void take_out(const fs::path& shard, const std::vector<std::string>& faults) const {
    auto fault = faults.begin();
    rewrite_shard(shard, [&](const SampleRecord& row) {
      if (!fault->empty() && *fault != second_row) give_up(row, *fault);
      return (fault++)->empty();
    });
    if (const auto taken = std::count(faults.begin(), faults.end(), second_row))
      say_(concat(shard.string(), ": ", counted(taken, "row was taken out that stands", "rows were taken out that stand"),
          " in another row as well"));
  }

  void fold_journal(const fs::path& path) {
    std::optional<ShardFile> shard;
    const std::string fingerprint = fingerprint_of_journal(path);
    const fs::file_time_type recorded = fs::last_write_time(path);
    const JournalEnd end = read_journal(path, fingerprint, [&](SampleRecord record) {
      if (is_second_(record)) return;   // sealed as well, just before a kill
      if (const std::string fault = fault_of(record, recorded); !fault.empty()) return give_up(record, fault);
      if (!shard) shard.emplace(layout_.shards() / ("." + path.stem().string() + ".recovered.tmp"), fingerprint, configurations_.at(fingerprint));
      shard->append(record);
      each_({record, fingerprint});
    });
    if (shard) shard->seal(layout_.shards());
    if (end.problem.empty() || end.held_nothing) {
      fs::remove(path);
    } else {
      say_(concat(path.string(), ": ", end.problem, "; ", counted(end.records, "sample before it was", "samples before it were"),
          " kept, the file was moved to ",
                  move_to_quarantine(layout_, path).string()));
    }
  }
};

}  // namespace

void remove_temporary_files(const fs::path& output) {
  const OutputLayout layout{output};
  const auto remove = [&](const fs::path& path) {
    if (is_temporary_file(output, path)) fs::remove(path);
  };
  for (const auto& folder : {layout.root, layout.work(), layout.work() / "settings", layout.journal()})
    for (const fs::path& path : files_of(folder)) remove(path);
  if (fs::is_directory(layout.shards()))
    for (const auto& entry : fs::recursive_directory_iterator(layout.shards())) remove(entry.path());
}

void recover(const fs::path& output, const std::map<std::string, std::string>& configurations,
             const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say,
             RecoverReads reads) {
  assert(!configurations.empty());
  Recovery(output, configurations, each, say, reads)();
}

}  // namespace pyracast
