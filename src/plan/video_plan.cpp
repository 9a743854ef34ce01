#include "plan/video_plan.hpp"

namespace pyracast {

VideoPlan plan_video(const BroadcastSchedule& schedule, const BranchOrder& order, const TokenParts& parts, int rank,
                     int64_t token_bytes, Axis published) {
  return plan_video(schedule, least_exchanges(schedule, order, parts, may_rest_over_time(parts)), parts, rank, token_bytes, published);
}

VideoPlan plan_video(const BroadcastSchedule& schedule, TokenPlan tokens, const TokenParts& parts, int rank,
                     int64_t token_bytes, Axis published) {
  VideoPlan plan{std::move(tokens)};
  plan.stored_bytes = plan.tokens.stored_bytes(schedule, parts, rank, token_bytes);
  plan.exchanges.resize(size_t(schedule.evaluations()));
  if (parts.ranks > 1) {
    plan.exchanges = plan.tokens.exchanges(schedule);
    const BroadcastSchedule everything(1, schedule.blocks());
    plan.bytes_without_broadcast =
        bytes_sent(TokenPlan(everything, plan.tokens.order(), published).exchanges(everything).front(), parts, rank, token_bytes);
  }
  for (const Exchanges& exchanges : plan.exchanges) plan.bytes.push_back(bytes_sent(exchanges, parts, rank, token_bytes));
  return plan;
}

}  // namespace pyracast
