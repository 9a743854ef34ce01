#include "dataset/shard_writer.hpp"

#include <unistd.h>

#include "base/file.hpp"
#include "base/stopwatch.hpp"
#include "dataset/clip_hash.hpp"
#include "dataset/mp4.hpp"

namespace pyracast {

namespace {

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
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    failure_ = std::make_exception_ptr(Error(as_error(error).what(), ExitCode::environment));   // the disk, not the input
    changed_.notify_all();
  }
}

void ShardWriter::write(Task task) {
  SampleRecord& record = task.record;
  if (task.video) {
    record.quality = measure_quality(*task.video);
    record.quality_flags = flags_of(record.quality);
    record.perceptual_hash = to_text(hash_of(*task.video));
    const Stopwatch encoding;
    record.video = video_path(record.id, int(record.sample));
    const auto path = options_.output / record.video;
    make_folder(path.parent_path());
    const auto temporary = path.string() + ".tmp";
    encode_mp4(temporary, *task.video, metadata_of(record), options_.crf);
    record.encode_seconds = encoding.seconds();
    const Stopwatch writing;
    publish(temporary, path);
    record.video_sha256 = sha256_of_file(path);
    record.write_seconds = writing.seconds();
    if (options_.keep_pixels) record.pixels = std::move(task.video);
  }
  journal_->append(record);
  if (options_.on_durable) options_.on_durable(record);
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

}  // namespace pyracast
