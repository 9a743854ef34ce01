#include "runtime/progress_lines.hpp"

#include <unistd.h>

#include <cstdio>

#include "base/counted.hpp"

namespace pyracast {

namespace {

std::string duration(double seconds) {
  const auto whole = uint64_t(seconds + 0.5);
  char text[64];
  if (whole >= 3600)
    std::snprintf(text, sizeof text, "%llu:%02llu:%02llu h", (unsigned long long)(whole / 3600),
                  (unsigned long long)(whole / 60 % 60), (unsigned long long)(whole % 60));
  else
    std::snprintf(text, sizeof text, "%llu:%02llu min", (unsigned long long)(whole / 60), (unsigned long long)(whole % 60));
  return text;
}

}  // namespace

ProgressLines::ProgressLines(const Ranks& ranks, const WorkQueue& queue, bool verbose, const char* thing, const char* fate)
    : queue_(queue), thing_(thing), fate_(fate), terminal_(::isatty(STDERR_FILENO) != 0),
      interval_(terminal_ ? 500 : verbose ? 1000 : 10000) {
  if (ranks.rank() == 0) thread_ = std::thread([this] { run(); });
}

ProgressLines::~ProgressLines() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
  print(true);
}

void ProgressLines::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, interval_, [this] { return ending_; })) print(false);
}

void ProgressLines::print(bool last) {
  const Progress progress = queue_.progress();
  const uint64_t ended = progress.done + progress.failed, all = progress.finished + ended;
  if (!terminal_ && !last && ended == last_count_) return;
  last_count_ = ended;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const double rate = seconds > 0 ? double(ended) / seconds : 0;
  std::string line = concat("pyracast: ", all, " of ", counted(progress.total, thing_), fate_);
  if (progress.finished) line += concat(" (", counted(progress.finished, "was", "were"), " there)");
  if (progress.failed) line += concat(", ", progress.failed, " failed");
  char text[64];
  std::snprintf(text, sizeof text, ", %.3g ", rate);
  line += concat(text, noun(0, thing_), "/s");
  if (last) line += ", took " + duration(seconds);
  else if (rate > 0) line += ", ready in " + duration(double(progress.total - all) / rate);
  std::fprintf(stderr, terminal_ && !last ? "\r%s   " : terminal_ ? "\r%s   \n" : "%s\n", line.c_str());
  std::fflush(stderr);
}

}  // namespace pyracast
