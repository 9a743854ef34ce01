#pragma once
#include <compare>
#include <span>
#include <vector>

namespace pyracast {

/// The residual branches of a space-time block pair, as the published implementations tell them apart.
enum class Branch { spatial_attention, temporal_attention, spatial_cross, temporal_cross, spatial_mlp, temporal_mlp };
inline constexpr int branch_count = 6;

/// One residual branch of one block of the network.
struct Site {
  Branch branch;
  int block;
  auto operator<=>(const Site&) const = default;
};

/// What of a modulated branch is stored for reuse: its output behind the gate of the evaluation that computed it
/// (VideoSys), or before the gate, which each evaluation then applies anew (diffusers).
enum class StoredOutput { gated, ungated };

/// What is computed and what is reused, for every evaluation of one video: a table, known before the first step and
/// the same on every rank. Cache, communication, memory planning and timing all read it.
class BroadcastSchedule {
 public:
  /// Everything is computed.
  BroadcastSchedule(int evaluations, int blocks);

  int evaluations() const { return evaluations_; }
  int blocks() const { return blocks_; }
  bool reuses(int evaluation, Site site) const { return reuse_[index(evaluation, site)]; }
  /// Reuse of the site's last computed output. The first evaluation can reuse nothing.
  void set_reuse(int evaluation, Site site, bool reuse);
  /// Whether the output that is computed at this evaluation is reused before the site is computed again.
  bool needed_after(int evaluation, Site site) const;

 private:
  int evaluations_, blocks_;
  std::vector<bool> reuse_;   // [evaluation][block][branch]
  size_t index(int evaluation, Site site) const {
    return size_t((evaluation * blocks_ + site.block) * branch_count + int(site.branch));
  }
};

}  // namespace pyracast
