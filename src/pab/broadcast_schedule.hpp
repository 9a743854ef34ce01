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

  /// Whether the evaluation leaves out the unconditional half of guidance, and adds what guidance added at the last one that did not.
  /// The first evaluation has both halves.
  bool reuses_unconditional_half(int evaluation) const { return reuse_of_half_[size_t(evaluation)]; }
  void set_reuse_of_unconditional_half(int evaluation, bool reuse);
  /// Whether any evaluation does. Then the halves of guidance are evaluated one after the other, in all of them, and `reuses` is
  /// about each half by itself.
  bool parts_halves() const;
  /// How many of the evaluations up to this one, itself included, have the unconditional half.
  int unconditional_evaluations(int through) const;
  /// What the unconditional half computes and reuses in the evaluations that have it. What it reuses is its own last output.
  BroadcastSchedule of_unconditional_half() const;

 private:
  int evaluations_, blocks_;
  std::vector<bool> reuse_;           // [evaluation][block][branch]
  std::vector<bool> reuse_of_half_;   // [evaluation]
  size_t index(int evaluation, Site site) const {
    return size_t((evaluation * blocks_ + site.block) * branch_count + int(site.branch));
  }
};

}  // namespace pyracast
