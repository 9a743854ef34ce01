#pragma once
// Where the tokens of a video rest while a team makes it, and what is therefore sent: all of it known from the broadcast
// schedule before the first step.
#include "comm/sequence_parallel.hpp"
#include "pab/broadcast_schedule.hpp"

namespace pyracast {

/// The order in which a network adds its residual branches to x: for each pair of blocks these, pair after pair.
using BranchOrder = std::vector<Branch>;

/// Open-Sora's pairs: a spatial and a temporal block, both with self attention, cross attention and MLP.
BranchOrder open_sora_branches();
/// Latte's and Open-Sora-Plan v1.1's pairs: the temporal block has no cross attention.
BranchOrder latte_branches();
/// Open-Sora-Plan v1.2's blocks: an attention over all tokens, a cross attention, an MLP.
BranchOrder single_block_branches();

/// The axis along which an attention's sequences run; nothing for branches that look at each token by itself.
std::optional<Axis> attended_axis(Branch branch);

/// Exchanges of a team's tokens between the two ways of being dealt out; each is one all-to-all, or one a turn (TokenParts).
struct Exchanges {
  int64_t from_space = 0, from_time = 0;   ///< what was sharded along space (time) comes to be sharded along the other
  int64_t count() const { return from_space + from_time; }
  Exchanges& operator+=(const Exchanges& more) {
    from_space += more.from_space;
    from_time += more.from_time;
    return *this;
  }
};

/// Bytes that `rank` sends for these exchanges, of tokens of `token_bytes` bytes each.
int64_t bytes_sent(const Exchanges& exchanges, const TokenParts& parts, int rank, int64_t token_bytes);

/// For every evaluation and site: the axis along which the residual stream rests sharded when that branch is added, and
/// the axis along which the branch's stored output is sharded from then on.
class TokenPlan {
 public:
  /// Everything rests sharded along `resting` for ever, and attentions along that axis exchange there and back: where the
  /// published implementations place their communication (Open-Sora along space; Latte and Open-Sora-Plan v1.1 along time).
  TokenPlan(const BroadcastSchedule& schedule, BranchOrder order, Axis resting);

  const BranchOrder& order() const { return order_; }
  Axis resting(int evaluation, Site site) const { return resting_[index(evaluation, site)]; }
  Axis stored(int evaluation, Site site) const { return stored_[index(evaluation, site)]; }
  void set_resting(int evaluation, Site site, Axis axis) { resting_[index(evaluation, site)] = axis; }
  void set_stored(int evaluation, Site site, Axis axis) { stored_[index(evaluation, site)] = axis; }

  /// What each evaluation exchanges. A reused branch exchanges nothing but, where it lies elsewhere, its stored output.
  std::vector<Exchanges> exchanges(const BroadcastSchedule& schedule) const;
  /// The most bytes of stored outputs that `rank` holds at any time.
  int64_t stored_bytes(const BroadcastSchedule& schedule, const TokenParts& parts, int rank, int64_t token_bytes) const;

 private:
  int blocks_;
  BranchOrder order_;
  std::vector<Axis> resting_, stored_;   // [evaluation][block][branch]
  size_t index(int evaluation, Site site) const {
    return size_t((evaluation * blocks_ + site.block) * branch_count + int(site.branch));
  }
};

/// The plan with the fewest exchanges over the whole video, of all that keep each branch's output where it was computed
/// until a reuse moves it. All exchanges of a video send the same bytes, summed over the ranks, so the bytes are the
/// least as well. Found as a minimum cut, hence exactly; of equals the one that spreads work more evenly. Without
/// `over_time` tokens rest along space only.
TokenPlan least_exchanges(const BroadcastSchedule& schedule, BranchOrder order, const TokenParts& parts, bool over_time = true);

/// Whether resting along time leaves every rank enough to do: each has a frame, and none 1.5 times its share of them.
bool may_rest_over_time(const TokenParts& parts);

}  // namespace pyracast
