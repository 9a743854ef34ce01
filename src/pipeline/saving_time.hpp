#pragma once
#include <algorithm>
#include <cstdint>

namespace pyracast {

/// How long it takes to save that many bytes, guessed from what earlier saves took: none is faster than the last small one, which only
/// waits for the disk, and the last large one tells the rate. Before there was one, the rate is that of a slow disk.
class SavingTime {
 public:
  static constexpr int64_t large = 16 << 20;                ///< bytes
  static constexpr double first_rate = 150e6;               ///< bytes a second

  void took(int64_t bytes, double seconds) {
    if (bytes < large) least_ = seconds;
    else rate_ = double(bytes) / std::max(seconds, 1e-9);
  }
  double guess(int64_t bytes) const { return std::max(least_, double(bytes) / rate_); }

 private:
  double least_ = 0, rate_ = first_rate;
};

}  // namespace pyracast
