#include "plan/token_plan.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace pyracast {

BranchOrder open_sora_branches() {
  return {Branch::spatial_attention,  Branch::spatial_cross,  Branch::spatial_mlp,
          Branch::temporal_attention, Branch::temporal_cross, Branch::temporal_mlp};
}

BranchOrder latte_branches() {
  return {Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp, Branch::temporal_attention, Branch::temporal_mlp};
}

BranchOrder single_block_branches() { return {Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp}; }

std::optional<Axis> attended_axis(Branch branch) {
  if (branch == Branch::spatial_attention) return Axis::space;
  if (branch == Branch::temporal_attention) return Axis::time;
  return std::nullopt;
}

int64_t bytes_sent(const Exchanges& exchanges, const TokenParts& parts, int rank, int64_t token_bytes) {
  return token_bytes * (exchanges.from_space * parts.tokens_sent(rank, Axis::space) +
                        exchanges.from_time * parts.tokens_sent(rank, Axis::time));
}

TokenPlan::TokenPlan(const BroadcastSchedule& schedule, BranchOrder order, Axis resting)
    : blocks_(schedule.blocks()), order_(std::move(order)),
      resting_(size_t(schedule.evaluations()) * size_t(blocks_) * branch_count, resting), stored_(resting_) {}

std::vector<Exchanges> TokenPlan::exchanges(const BroadcastSchedule& schedule) const {
  std::vector<Exchanges> all;
  for (int e = 0; e < schedule.evaluations(); ++e) {
    Exchanges& here = all.emplace_back();
    const auto exchange = [&](Axis from, Axis to) {
      if (from != to) ++(from == Axis::space ? here.from_space : here.from_time);
    };
    Axis x = resting(e, {order_.front(), 0});   // the first is where shard() puts it
    for (int block = 0; block < schedule.blocks(); ++block)
      for (const Branch branch : order_) {
        const Site site{branch, block};
        exchange(x, resting(e, site));
        x = resting(e, site);
        if (schedule.reuses(e, site)) {
          exchange(stored(e - 1, site), x);
        } else if (const auto attended = attended_axis(branch); attended == x) {   // that axis is dealt out: there and back
          ++here.from_space;
          ++here.from_time;
        }
      }
  }
  return all;
}

int64_t TokenPlan::stored_bytes(const BroadcastSchedule& schedule, const TokenParts& parts, int rank, int64_t token_bytes) const {
  const int64_t bytes_of[] = {token_bytes * parts.tokens_held(rank, Axis::space), token_bytes * parts.tokens_held(rank, Axis::time)};
  std::map<Site, int64_t> held;
  int64_t now = 0, most = 0;
  for (int e = 0; e < schedule.evaluations(); ++e)
    for (int block = 0; block < schedule.blocks(); ++block)
      for (const Branch branch : order_) {
        const Site site{branch, block};
        const int64_t bytes = schedule.needed_after(e, site) ? bytes_of[int(stored(e, site))] : 0;
        now += bytes - std::exchange(held[site], bytes);
        most = std::max(most, now);
      }
  return most;
}

bool may_rest_over_time(const TokenParts& parts) {
  return parts.frames() >= parts.ranks && parts.imbalance(Axis::time) <= 1.5;
}

}  // namespace pyracast
