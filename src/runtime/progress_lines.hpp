#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "dataset/work_queue.hpp"

namespace pyracast {

/// Tells the user how far the job is, from world rank 0: one line that is written over on a terminal, else a plain line
/// whenever something changed, at most one in ten seconds.
class ProgressLines {
 public:
  /// `thing` is counted, in the singular; `fate`: what becomes of it.
  ProgressLines(const Ranks& ranks, const WorkQueue& queue, bool verbose, const char* thing = "video", const char* fate = "");
  ~ProgressLines();
  ProgressLines(const ProgressLines&) = delete;
  ProgressLines& operator=(const ProgressLines&) = delete;

 private:
  const WorkQueue& queue_;
  std::string thing_, fate_;
  bool terminal_;
  std::chrono::milliseconds interval_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  uint64_t last_count_ = ~uint64_t(0);
  std::thread thread_;

  void run();
  void print(bool last);
};

}  // namespace pyracast
