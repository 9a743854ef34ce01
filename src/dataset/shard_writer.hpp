#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "dataset/journal.hpp"
#include "dataset/layout.hpp"
#include "dataset/recover.hpp"
#include "dataset/shard_file.hpp"

namespace pyracast {

struct ShardWriterOptions {
  std::filesystem::path output;
  int team = 0;
  std::string fingerprint;       ///< 64 hexadecimal digits
  std::string configuration;     ///< the run's, JSON
  int64_t most_samples = 1000;   ///< a shard
  uint64_t most_bytes = uint64_t(1) << 30;
  int crf = 18;
  bool keep_pixels = false;      ///< frames in the shard as well
  std::function<void(const SampleRecord&)> on_durable = {};   ///< called on the writer's thread; throws nothing
};

/// Makes finished samples durable, one team's: the video is measured and written, then its record is appended to the team's
/// journal, then folded into a shard; all on a thread of its own, while the next video is made. What fails there is thrown by the
/// next call.
class ShardWriter {
 public:
  explicit ShardWriter(ShardWriterOptions options);
  /// Writes what was handed over and ends the thread; what fails then is not heard of, and left to recover().
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// Hands a sample over. `video` is absent for a failed one. Waits while two are still to be written.
  void submit(SampleRecord record, std::optional<Video> video);
  /// Waits until all that was handed over is durable, and seals the last shard.
  void close();
  /// Samples that are durable.
  uint64_t written() const;

 private:
  struct Task {
    SampleRecord record;
    std::optional<Video> video;
  };
  ShardWriterOptions options_;
  OutputLayout layout_;
  std::filesystem::path journal_path_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool busy_ = false, closing_ = false;
  uint64_t written_ = 0;
  std::exception_ptr failure_;
  std::optional<JournalWriter> journal_;   // used by the thread only, like the shard
  std::optional<ShardFile> shard_;
  std::thread thread_;

  void run();
  void write(Task task);
  void seal();
  void join();
};

}  // namespace pyracast
