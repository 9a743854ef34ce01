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
  for (const Exchanges& exchanges : plan.exchanges) {
    plan.all_to_alls.push_back(exchanges.count() * parts.turns);
    plan.bytes.push_back(bytes_sent(exchanges, parts, rank, token_bytes));
  }
  return plan;
}

VideoPlan plan_video(const BroadcastSchedule& schedule, const BranchOrder& order, const Shape& tokens, const Communicator& team, Axis published,
                     DType activations) {
  const TokenParts parts{tokens[0], tokens[1], tokens[2], team.size(), SequenceParallel::turns_of(team, tokens[0])};
  return plan_video(schedule, order, parts, team.rank(), tokens[3] * int64_t(size_of(activations)), published);
}

VideoPlan plan_video_over_heads(const BroadcastSchedule& schedule, const TokenParts& parts, int rank, int64_t token_bytes, int64_t heads) {
  VideoPlan plan{TokenPlan(schedule, single_block_branches(), Axis::space)};
  plan.stored_bytes = plan.tokens.stored_bytes(schedule, parts, rank, token_bytes);
  plan.exchanges.resize(size_t(schedule.evaluations()));
  plan.all_to_alls.resize(plan.exchanges.size());
  plan.bytes.resize(plan.exchanges.size());
  if (parts.ranks == 1) return plan;
  plan.exchanges = plan.tokens.exchanges(schedule);
  const int64_t own_tokens = parts.tokens_held(rank, Axis::space), all_tokens = parts.frames() * parts.space;
  const int64_t own_heads = part_sizes(heads, parts.ranks)[size_t(rank)];
  // Query, key and value of the own tokens go to the ranks of other heads, outputs of the own heads to those of other tokens.
  const int64_t bytes = token_bytes / heads * (3 * own_tokens * (heads - own_heads) + own_heads * (all_tokens - own_tokens));
  for (size_t e = 0; e < plan.bytes.size(); ++e) {
    plan.all_to_alls[e] = plan.exchanges[e].count() * parts.turns;
    plan.bytes[e] = plan.exchanges[e].count() / 2 * bytes;
  }
  plan.bytes_without_broadcast = schedule.blocks() * bytes;
  return plan;
}

VideoPlan plan_halves(const BroadcastSchedule& schedule, int64_t batch, const PlanOfRun& plan) {
  if (!schedule.parts_halves()) return plan(schedule, batch);
  require(batch % 2 == 0, "the broadcast table reuses the unconditional half of guidance, but other ranks evaluate it meanwhile: leave cfg-parallel "
          "out, or the entry unconditional_half");
  VideoPlan both = plan(schedule, batch / 2);
  const VideoPlan unconditional = plan(schedule.of_unconditional_half(), batch / 2);
  for (int e = 0; e < schedule.evaluations(); ++e) {
    if (schedule.reuses_unconditional_half(e)) continue;
    const size_t own = size_t(schedule.unconditional_evaluations(e)) - 1;
    both.exchanges[size_t(e)] += unconditional.exchanges[own];
    both.all_to_alls[size_t(e)] += unconditional.all_to_alls[own];
    both.bytes[size_t(e)] += unconditional.bytes[own];
  }
  both.bytes_without_broadcast *= 2;
  both.stored_bytes += unconditional.stored_bytes;
  both.unconditional_tokens = unconditional.tokens;
  return both;
}

}  // namespace pyracast
