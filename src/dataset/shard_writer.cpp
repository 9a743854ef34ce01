#include "dataset/shard_writer.hpp"

#include <unistd.h>

#include <chrono>
#include <set>

#include "base/file.hpp"
#include "dataset/mp4.hpp"

namespace pyracast {

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Only what decides the pixels: equal videos have equal files.
VideoMetadata metadata_of(const SampleRecord& record) {
  return {{"title", record.prompt}, {"comment", Json{{"seed", record.seed}, {"sample", record.sample}, {"steps", record.steps},
                                                     {"guidance", record.guidance}}.dump()}};
}

std::filesystem::path temporary_shard(const OutputLayout& layout, const std::string& name) {
  return layout.shards() / ("." + name + "." + std::to_string(::getpid()) + ".tmp");
}

}  // namespace

ShardWriter::ShardWriter(ShardWriterOptions options)
    : options_(std::move(options)), layout_{options_.output},
      journal_path_(layout_.journal() / concat("team-", options_.team, ".journal")) {
  make_folder(layout_.journal());
  make_folder(layout_.shards());
  journal_.emplace(journal_path_, options_.fingerprint);
  thread_ = std::thread([this] { run(); });
}

ShardWriter::~ShardWriter() { join(); }

void ShardWriter::join() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ShardWriter::submit(SampleRecord record, std::optional<Video> video) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return tasks_.size() < 2 || failure_; });
  if (failure_) std::rethrow_exception(failure_);
  tasks_.push_back({std::move(record), std::move(video)});
  changed_.notify_all();
}

uint64_t ShardWriter::written() const {
  const std::lock_guard lock(mutex_);
  return written_;
}

void ShardWriter::close() {
  join();
  if (failure_) std::rethrow_exception(failure_);
  journal_.reset();
  std::filesystem::remove(journal_path_);
}

void ShardWriter::run() {
  try {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !tasks_.empty() || closing_; });
      if (tasks_.empty()) break;
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      changed_.notify_all();
      lock.unlock();
      write(std::move(task));
      lock.lock();
      ++written_;
    }
    seal();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

void ShardWriter::write(Task task) {
  SampleRecord& record = task.record;
  if (task.video) {
    const auto start = std::chrono::steady_clock::now();
    record.video = video_path(record.id, int(record.sample));
    const auto path = options_.output / record.video;
    make_folder(path.parent_path());
    write_mp4(path, *task.video, metadata_of(record), options_.crf);
    record.video_sha256 = sha256_of_file(path);
    record.encode_seconds = seconds_since(start);
    if (options_.keep_pixels) record.pixels = std::move(task.video);
  }
  journal_->append(record);
  if (!shard_)
    shard_.emplace(temporary_shard(layout_, concat("team-", options_.team)), options_.fingerprint, options_.configuration);
  shard_->append(record);
  if (int64_t(shard_->rows()) >= options_.most_samples || shard_->bytes() >= options_.most_bytes) seal();
}

void ShardWriter::seal() {
  if (!shard_) return;
  shard_->seal(layout_.shards());
  shard_.reset();
  journal_->clear();   // the sealed shard holds them; a crash in between is noticed by recover()
}

void recover(const std::filesystem::path& output, const std::string& fingerprint, const std::string& configuration,
             const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say) {
  const OutputLayout layout{output};
  for (const auto& folder : {layout.shards(), layout.work()})
    if (std::filesystem::is_directory(folder))
      for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().extension() == ".tmp") std::filesystem::remove(entry.path());

  // Only samples of shards that might also stand in a leftover journal are remembered.
  std::vector<std::filesystem::path> journals;
  if (std::filesystem::is_directory(layout.journal()))
    for (const auto& entry : std::filesystem::directory_iterator(layout.journal())) journals.push_back(entry.path());
  std::set<std::pair<std::string, int64_t>> in_shards;
  const auto remember = [&](const SampleRecord& row) {
    if (!journals.empty()) in_shards.emplace(row.id, row.sample);
    each({row.id, row.sample, row.status != int64_t(SampleStatus::done)});
  };
  for (const auto& path : sealed_shards(layout.shards())) {
    std::vector<SampleRecord> rows;
    try {
      rows = read_shard(path);
    } catch (const Error& error) {
      say(concat(error.what(), "; it was moved to ", move_to_quarantine(layout, path).string(), ", its samples are made again"));
      continue;
    }
    for (const SampleRecord& row : rows) remember(row);
  }

  for (const auto& path : journals) {
    std::optional<ShardFile> shard;
    const JournalEnd end = read_journal(path, [&](SampleRecord record) {
      if (in_shards.contains({record.id, record.sample})) return;
      if (!shard) shard.emplace(temporary_shard(layout, path.stem().string()), fingerprint, configuration);
      shard->append(record);
      remember(record);
    });
    if (shard) shard->seal(layout.shards());
    if (end.problem.empty()) {
      std::filesystem::remove(path);
    } else {
      say(concat(path.string(), ": ", end.problem, "; the ", end.records, " samples before it were kept, the file was moved to ",
                 move_to_quarantine(layout, path).string()));
    }
  }
}

}  // namespace pyracast
