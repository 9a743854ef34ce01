#pragma once
#include <array>
#include <cassert>
#include <chrono>
#include <map>

#include "pab/broadcast_schedule.hpp"
#include "tensor/tensor.hpp"

namespace pyracast {

/// Gives each residual branch: stored where the schedule says so, computed otherwise; keeps the seconds of each. One
/// cache a video.
class AttentionCache {
 public:
  explicit AttentionCache(const BroadcastSchedule& schedule) : schedule_(schedule) {}

  /// Before each evaluation of the network.
  void begin(int evaluation) {
    evaluation_ = evaluation;
    seconds_ = {};
    computed_ = {};
  }

  template <class Compute>
  Tensor operator()(Site site, Compute compute) {
    if (schedule_.reuses(evaluation_, site)) {
      const auto stored = stored_.find(site);
      assert(stored != stored_.end());
      return stored->second;
    }
    ++computed_[size_t(site.branch)];
    const auto start = std::chrono::steady_clock::now();
    const Tensor out = compute();
    seconds_[size_t(site.branch)] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (schedule_.needed_after(evaluation_, site))
      stored_[site] = out;
    else
      stored_.erase(site);
    return out;
  }

  /// Seconds spent computing each branch (index: Branch) since begin().
  const std::array<double, branch_count>& seconds() const { return seconds_; }
  /// How many blocks computed each branch since begin().
  const std::array<int64_t, branch_count>& computed() const { return computed_; }

 private:
  const BroadcastSchedule& schedule_;
  int evaluation_ = 0;
  std::map<Site, Tensor> stored_;
  std::array<double, branch_count> seconds_{};
  std::array<int64_t, branch_count> computed_{};
};

}  // namespace pyracast
