#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "dataset/manifest.hpp"

namespace pyracast {

/// Which of the samples that a manifest asks for have been met: a bit a sample.
class SampleTally {
 public:
  explicit SampleTally(const Manifest& manifest) : manifest_(&manifest), met_(manifest.total_samples()) {}

  /// What add() has found: met for the first time, again, or not in the manifest (an earlier or longer one asked for it).
  enum class Meeting { first, again, not_asked_for };
  Meeting add(std::string_view id, int64_t sample, bool failed);

  uint64_t asked_for() const { return met_.size(); }
  uint64_t done() const { return done_; }
  uint64_t failed() const { return failed_; }
  uint64_t left() const { return asked_for() - done_ - failed_; }
  uint64_t not_asked_for() const { return not_asked_for_; }

  /// Calls `each` with the prompt and the sample's number of all that are left, in the manifest's order.
  void for_each_left(const std::function<void(uint64_t prompt, uint32_t sample)>& each) const;

 private:
  const Manifest* manifest_;
  std::vector<bool> met_;
  uint64_t done_ = 0, failed_ = 0, not_asked_for_ = 0;
};

}  // namespace pyracast
