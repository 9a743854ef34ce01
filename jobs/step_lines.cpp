#include "jobs/step_lines.hpp"

#include <unistd.h>

#include <cstdio>

namespace pyracast {

StepLines::StepLines(std::chrono::milliseconds interval) : terminal_(::isatty(STDERR_FILENO) != 0), interval_(interval) {
  if (terminal_) interval_ = std::chrono::milliseconds(100);
}

StepLines::~StepLines() {
  if (is_in_a_line_) std::fputc('\n', stderr);
}

void StepLines::operator()(const char* what, size_t done, size_t all) {
  const auto now = std::chrono::steady_clock::now();
  const bool ends = terminal_ && done >= all;
  if (!ends && now - last_ < interval_) return;
  last_ = now;
  is_in_a_line_ = terminal_ && !ends;
  std::fprintf(stderr, "%spyracast: %zu of %zu %s%s", terminal_ ? "\r" : "", done, all, what, is_in_a_line_ ? "   " : "\n");
}

}  // namespace pyracast
