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

VideoPlan plan_video(const BroadcastSchedule& schedule, const BranchOrder& order, const Shape& tokens, const Communicator& team, Axis published) {
  const TokenParts parts{tokens[0], tokens[1], tokens[2], team.size()};
  return plan_video(schedule, order, parts, team.rank(), tokens[3] * int64_t(size_of(DType::float32)), published);
}

VideoPlan plan_video_over_heads(const BroadcastSchedule& schedule, const Shape& tokens, int64_t heads, const Communicator& team) {
  const TokenParts parts{tokens[0], tokens[1], tokens[2], team.size()};
  const int64_t token_bytes = tokens[3] * int64_t(size_of(DType::float32)), head_bytes = token_bytes / heads;
  TokenPlan resting(schedule, single_block_branches(), Axis::space);
  VideoPlan plan{std::move(resting)};
  plan.stored_bytes = plan.tokens.stored_bytes(schedule, parts, team.rank(), token_bytes);
  plan.exchanges.resize(size_t(schedule.evaluations()));
  plan.bytes.resize(plan.exchanges.size());
  if (parts.ranks == 1) return plan;
  plan.exchanges = plan.tokens.exchanges(schedule);
  const int64_t own_tokens = parts.tokens_held(team.rank(), Axis::space), all_tokens = parts.frames() * parts.space;
  const int64_t own_heads = part_sizes(heads, parts.ranks)[size_t(team.rank())];
  // Query, key and value of the own tokens go to the ranks of other heads, outputs of the own heads to those of other tokens.
  const int64_t bytes = head_bytes * (3 * own_tokens * (heads - own_heads) + own_heads * (all_tokens - own_tokens));
  for (size_t e = 0; e < plan.bytes.size(); ++e) plan.bytes[e] = plan.exchanges[e].count() / 2 * bytes;
  plan.bytes_without_broadcast = schedule.blocks() * bytes;
  return plan;
}

}  // namespace pyracast
