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

class Recovery {
 public:
  Recovery(const fs::path& output, const std::string& fingerprint, const std::string& configuration,
           const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say)
      : layout_{output}, fingerprint_(fingerprint), configuration_(configuration), each_(each), say_(say) {}

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
  std::set<std::pair<std::string, int64_t>> in_journals_;   // and in no shard read so far

  static std::vector<fs::path> files_of(const fs::path& folder) {
    std::vector<fs::path> files;
    if (fs::is_directory(folder))
      for (const auto& entry : fs::directory_iterator(folder))
        if (entry.is_regular_file()) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
  }

  bool has_its_video(const SampleRecord& row) const {
    return row.status != int64_t(SampleStatus::done) || fs::is_regular_file(layout_.root / row.video);
  }

  void count(const SampleRecord& row) const { each_({row.id, row.sample, row.status != int64_t(SampleStatus::done)}); }

  void say_missing(const SampleRecord& row) const {
    say_(concat((layout_.root / row.video).string(), ": is missing; sample ", row.sample, " of \"", row.id, "\" is made again"));
  }

  fs::path temporary(const fs::path& of) const { return layout_.shards() / ("." + of.stem().string() + ".recovered.tmp"); }

  void keep_shard(const fs::path& path) {
    std::vector<SampleRecord> rows;
    try {
      const std::string found = shard_fingerprint(path);
      require(found == fingerprint_, path.string(), ": belongs to a run of other settings (fingerprint ", found,
              ", this run's is ", fingerprint_, ')');
      rows = read_shard(path);
      if (!std::all_of(rows.begin(), rows.end(), [&](const auto& row) { return has_its_video(row); })) rows = rewrite(path);
    } catch (const Error& error) {
      say_(concat(error.what(), "; it was moved to ", move_to_quarantine(layout_, path).string(), ", its samples are made again"));
      return;
    }
    for (const SampleRecord& row : rows) {
      in_journals_.erase({row.id, row.sample});
      count(row);
    }
  }

  /// The shard under the same name with the samples that have their videos, in one rename; gives those.
  std::vector<SampleRecord> rewrite(const fs::path& path) {
    const ShardReader reader(path);
    ShardFile shard(temporary(path), fingerprint_, configuration_);
    std::vector<SampleRecord> kept;
    for (size_t i = 0; i < reader.size(); ++i) {
      const SampleRecord& row = reader.rows()[i];
      if (!has_its_video(row)) {
        say_missing(row);
        continue;
      }
      shard.append(reader.whole(i));
      kept.push_back(row);
    }
    if (!kept.empty()) return shard.seal_as(path), kept;
    fs::remove(temporary(path));
    fs::remove(path);
    sync_folder(layout_.shards());
    return kept;
  }

  void fold_journal(const fs::path& path) {
    std::optional<ShardFile> shard;
    const JournalEnd end = read_journal(path, fingerprint_, [&](SampleRecord record) {
      if (!in_journals_.erase({record.id, record.sample})) return;
      if (!has_its_video(record)) {
        say_missing(record);
        return;
      }
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
             const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say) {
  Recovery(output, fingerprint, configuration, each, say)();
}

}  // namespace pyracast
