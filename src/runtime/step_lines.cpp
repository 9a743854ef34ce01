#include "runtime/step_lines.hpp"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/error.hpp"

namespace pyracast {

StepLines::StepLines(std::chrono::milliseconds interval) : terminal_(::isatty(STDERR_FILENO) != 0), interval_(interval) {
  if (terminal_) interval_ = std::chrono::milliseconds(100);
}

StepLines::~StepLines() {
  if (is_in_a_line_) std::fputc('\n', stderr);
}

void StepLines::operator()(const char* what, size_t done, size_t all) {
  const auto now = std::chrono::steady_clock::now();
  if (terminal_ && what != what_) {
    if (std::exchange(is_in_a_line_, false)) std::fputc('\n', stderr);
    what_ = what, last_ = now + std::chrono::seconds(2) - interval_;
  }
  const bool ends = is_in_a_line_ && done == all;
  if (!ends && now - last_ < interval_) return;
  last_ = now;
  is_in_a_line_ = terminal_ && !ends;
  std::fprintf(stderr, "%spyracast: %zu%s %s%s", terminal_ ? "\r" : "", done, all ? concat(" of ", all).c_str() : "", what,
      is_in_a_line_ ? "   " : "\n");
}

}  // namespace pyracast
