#pragma once
#include <algorithm>
#include <chrono>

namespace pyracast {

/// How long this process has waited while it was awake. Asked at least every second; longer gaps count as a second, for
/// then the process itself was suspended, perhaps with all others of its job, and what it waits for has lost that time too.
class Patience {
 public:
  explicit Patience(double seconds) : left_(seconds), limit_(seconds) {}

  bool ended() {
    const auto now = std::chrono::steady_clock::now();
    left_ -= std::min(1.0, std::chrono::duration<double>(now - last_).count());
    last_ = now;
    return left_ < 0;
  }
  double waited() const { return limit_ - left_; }

 private:
  double left_, limit_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace pyracast
