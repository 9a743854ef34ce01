#pragma once
#include <array>
#include <cassert>
#include <functional>
#include <map>
#include <memory>

#include "pab/broadcast_schedule.hpp"
#include "pab/offloaded_outputs.hpp"
#include "tensor/device_seconds.hpp"
#include "tensor/tensor.hpp"

namespace pyracast {

/// Sees every output that is computed, in the form in which it would be stored.
using BranchListener = std::function<void(int evaluation, Site site, const Tensor& output)>;

/// In whose memory stored outputs are kept.
enum class OutputPlace { device, host };

/// Keeps the outputs of residual branches for as long as the schedule reuses them, and the seconds of what is computed.
/// One cache a video. To reuse what is not there is a bug, and asserted.
class AttentionCache {
 public:
  explicit AttentionCache(BroadcastSchedule schedule) : schedule_(std::move(schedule)) {}

  const BroadcastSchedule& schedule() const { return schedule_; }
  void listen(BranchListener listener) { listener_ = std::move(listener); }
  /// Outputs are kept in the host's memory. Those that an evaluation reuses are copied back ahead of their use, which is in the order of
  /// blocks, and in each of them of these branches. Before anything is stored.
  void offload(std::vector<Branch> order) {
    order_ = std::move(order);
    offloaded_ = std::make_unique<OffloadedOutputs>();
  }
  static constexpr size_t most_ahead = 3;   ///< outputs that are copied back before they are used

  /// Before each evaluation of the network.
  void begin(int evaluation);
  int evaluation() const { return evaluation_; }

  bool reuses(Site site) const { return schedule_.reuses(evaluation_, site); }
  /// What is stored, on its device.
  Tensor stored(Site site);
  /// Whether an output that is computed now is for more than its branch: kept, or shown to the listener.
  bool wants(Site site) const { return listener_ || schedule_.needed_after(evaluation_, site); }
  /// What `compute` gives, on this device, kept if a later evaluation reuses it.
  template <class Compute>
  Tensor computed(Backend& backend, Site site, Compute compute) {
    assert(!reuses(site));
    ++computed_[size_t(site.branch)];
    const Tensor out = seconds_.timed(backend, size_t(site.branch), compute);
    if (listener_) listener_(evaluation_, site, out);
    keep(site, out);
    return out;
  }
  /// This output from here on, or nothing where no later evaluation reuses it.
  void keep(Site site, Tensor output);
  /// The same with the output that is stored.
  void keep(Site site) {
    if (!schedule_.needed_after(evaluation_, site)) drop(site);
  }

  /// Of which outputs are stored: behind an evaluation, exactly those that later ones reuse; the same on every rank.
  std::vector<Site> stored_sites() const;
  /// Takes up what an earlier job had stored.
  void restore(Site site, Tensor output);

  /// What computing each branch (index: Branch) takes since begin().
  DeviceSeconds<branch_count>& seconds() { return seconds_; }
  /// How many blocks computed each branch since begin().
  const std::array<int64_t, branch_count>& computed() const { return computed_; }
  /// The most bytes of stored outputs there have been at any time.
  int64_t most_bytes() const { return most_bytes_; }

 private:
  BroadcastSchedule schedule_;
  BranchListener listener_;
  int evaluation_ = 0;
  std::map<Site, Tensor> stored_;                  // on the device
  std::unique_ptr<OffloadedOutputs> offloaded_;    // or in the host's memory
  std::vector<Branch> order_;
  std::deque<Site> to_fetch_;                      // of this evaluation
  int64_t bytes_ = 0, most_bytes_ = 0;
  DeviceSeconds<branch_count> seconds_;
  std::array<int64_t, branch_count> computed_{};

  void drop(Site site);
  void fetch_ahead();
};

}  // namespace pyracast
