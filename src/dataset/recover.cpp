#include "dataset/recover.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include "base/file.hpp"
#include "dataset/journal.hpp"
#include "dataset/layout.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/shard_reader.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// Shards of columns are smaller, those of many arrays are larger: to read them all would take as long as to copy them.
constexpr uintmax_t most_bytes_read_always = 64 << 20;

class Recovery {
 public:
  Recovery(const fs::path& output, const std::string& fingerprint, const std::string& configuration,
           const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say,
           RecoverReads reads)
      : layout_{output}, fingerprint_(fingerprint), configuration_(configuration), each_(each), say_(say), reads_(reads) {}

  void operator()() {
    for (const auto& folder : {layout_.root, layout_.shards(), layout_.work(), layout_.journal()})
      for (const fs::path& path : files_of(folder))
        if (path.extension() == ".tmp") fs::remove(path);
    const auto journals = files_of(layout_.journal());
    for (const fs::path& path : journals)
      read_journal(path, fingerprint_, [&](const SampleRecord& record) { in_journals_.emplace(record.id, record.sample); });
    for (const fs::path& path : sealed_shards(layout_.shards())) keep_shard(path);
    for (const fs::path& path : journals) fold_journal(path);
  }

 private:
  OutputLayout layout_;
  const std::string &fingerprint_, &configuration_;
  const std::function<void(const FinishedSample&)>& each_;
  const std::function<void(const std::string&)>& say_;
  RecoverReads reads_;
  std::set<std::pair<std::string, int64_t>> in_journals_;   // and in no shard read so far

  static std::vector<fs::path> files_of(const fs::path& folder) {
    std::vector<fs::path> files;
    if (fs::is_directory(folder))
      for (const auto& entry : fs::directory_iterator(folder))
        if (entry.is_regular_file()) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
  }

  /// What is wrong with the video of a sample that stands in `record`, a shard or journal; empty: nothing.
  std::string fault_of(const SampleRecord& row, const fs::path& record) const {
    if (row.status != int64_t(SampleStatus::done)) return "";
    const fs::path video = layout_.root / row.video;
    if (!fs::is_regular_file(video)) return "is missing";
    // It was written before the record that names it: what is newer was changed by something else.
    if (reads_ == RecoverReads::what_changed && fs::last_write_time(video) < fs::last_write_time(record)) return "";
    return sha256_of_file(video) == row.video_sha256 ? "" : "does not fit its checksum";
  }

  void count(const SampleRecord& row) const { each_({row.id, row.sample, row.status != int64_t(SampleStatus::done)}); }

  void give_up(const SampleRecord& row, const std::string& fault) const {
    const fs::path video = layout_.root / row.video;
    const std::string where = fs::exists(video) ? concat(" and was moved to ", move_to_quarantine(layout_, video).string()) : "";
    say_(concat(video.string(), ": ", fault, where, "; sample ", row.sample, " of \"", row.id, "\" is made again"));
  }

  fs::path temporary(const fs::path& of) const { return layout_.shards() / ("." + of.stem().string() + ".recovered.tmp"); }

  void keep_shard(const fs::path& path) {
    std::vector<SampleRecord> rows;
    if (!sound(path, [&] { rows = rows_of_this_run(path); })) return;
    std::vector<std::string> faults;
    for (const SampleRecord& row : rows) faults.push_back(fault_of(row, path));
    const bool whole = std::all_of(faults.begin(), faults.end(), [](const std::string& fault) { return fault.empty(); });
    if ((!whole || reads_ == RecoverReads::everything) && !sound(path, [&] { read_arrays(path); })) return;
    if (!whole) rewrite(path, faults);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!faults[i].empty()) continue;
      in_journals_.erase({rows[i].id, rows[i].sample});
      count(rows[i]);
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

  std::vector<SampleRecord> rows_of_this_run(const fs::path& path) const {
    if (reads_ == RecoverReads::everything || fs::file_size(path) <= most_bytes_read_always || changed_since_the_index(path)) check_seal(path);
    const std::string found = shard_fingerprint(path);
    require(found == fingerprint_, path.string(), ": belongs to a run of other settings (fingerprint ", found,
            ", this run's is ", fingerprint_, ')');
    return read_shard(path, ShardCheck::columns);
  }

  /// The index was made of shards whose checksums fitted.
  bool changed_since_the_index(const fs::path& shard) const {
    return !fs::exists(layout_.index()) || fs::last_write_time(shard) >= fs::last_write_time(layout_.index());
  }

  static void read_arrays(const fs::path& path) {
    const ShardReader shard(path, ShardCheck::columns);
    for (size_t i = 0; i < shard.size(); ++i) shard.whole(i);
  }

  /// The shard under the same name with the samples whose videos have no fault, in one rename.
  void rewrite(const fs::path& path, const std::vector<std::string>& faults) {
    const ShardReader reader(path, ShardCheck::columns);
    ShardFile shard(temporary(path), fingerprint_, configuration_);
    for (size_t i = 0; i < reader.size(); ++i) {
      if (faults[i].empty()) shard.append(reader.whole(i));
      else give_up(reader.rows()[i], faults[i]);
    }
    if (shard.rows() > 0) {
      shard.seal_as(path);
      return;
    }
    fs::remove(temporary(path));
    fs::remove(path);
    sync_folder(path.parent_path());
  }

  void fold_journal(const fs::path& path) {
    std::optional<ShardFile> shard;
    const JournalEnd end = read_journal(path, fingerprint_, [&](SampleRecord record) {
      if (!in_journals_.erase({record.id, record.sample})) return;
      if (const std::string fault = fault_of(record, path); !fault.empty()) return give_up(record, fault);
      if (!shard) shard.emplace(temporary(path), fingerprint_, configuration_);
      shard->append(record);
      count(record);
    });
    if (shard) shard->seal(layout_.shards());
    if (end.problem.empty() || end.held_nothing) {
      fs::remove(path);
    } else {
      say_(concat(path.string(), ": ", end.problem, "; the ", end.records, " samples before it were kept, the file was moved to ",
                  move_to_quarantine(layout_, path).string()));
    }
  }
};

}  // namespace

void recover(const fs::path& output, const std::string& fingerprint, const std::string& configuration,
             const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say,
             RecoverReads reads) {
  Recovery(output, fingerprint, configuration, each, say, reads)();
}

}  // namespace pyracast
