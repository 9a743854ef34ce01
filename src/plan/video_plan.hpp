#pragma once
#include <functional>
#include <optional>

#include "plan/token_plan.hpp"

namespace pyracast {

/// What one rank of a team sends and keeps while the team makes a video. Counted numbers equal these exactly.
struct VideoPlan {
  TokenPlan tokens;                       ///< of both halves of guidance; where they are parted, of the conditional one
  std::vector<Exchanges> exchanges;       ///< [evaluations]; none on a team of one
  std::vector<int64_t> all_to_alls;       ///< [evaluations]: that these take, one each or one a turn
  std::vector<int64_t> bytes;             ///< [evaluations]: of all-to-alls, sent by this rank
  int64_t bytes_without_broadcast = 0;    ///< of an evaluation that computes everything, placed as published
  int64_t stored_bytes = 0;               ///< of stored branch outputs: the most at any time, of each half where they are parted
  std::optional<TokenPlan> unconditional_tokens = std::nullopt;   ///< where the halves are parted, of that one's own evaluations
};

/// The plan of `rank` for tokens of `token_bytes` bytes each. `published`: along which axis the published implementation
/// lets tokens rest. Tokens rest over time only where that leaves every rank enough to do.
VideoPlan plan_video(const BroadcastSchedule& schedule, const BranchOrder& order, const TokenParts& parts, int rank,
                     int64_t token_bytes, Axis published);
/// The same with tokens where `tokens` lets them rest.
VideoPlan plan_video(const BroadcastSchedule& schedule, TokenPlan tokens, const TokenParts& parts, int rank,
                     int64_t token_bytes, Axis published);

/// The plan of this rank of `team` for tokens [batch, time, space, channels] of the type `activations`.
VideoPlan plan_video(const BroadcastSchedule& schedule, const BranchOrder& order, const Shape& tokens, const Communicator& team, Axis published,
                     DType activations);

/// The plan of `rank` for a network whose blocks are an attention of all tokens to each other, a cross attention and an MLP:
/// tokens rest along space, and a computed attention exchanges them for heads and back.
VideoPlan plan_video_over_heads(const BroadcastSchedule& schedule, const TokenParts& parts, int rank, int64_t token_bytes, int64_t heads);

/// The plan of one run of the network at each evaluation, over so many videos or halves of guidance.
using PlanOfRun = std::function<VideoPlan(const BroadcastSchedule& schedule, int64_t batch)>;
/// The plan of both halves, in one run of `batch` or, where the schedule parts them, in a run of each with half of it. Throws Error where
/// it parts halves of which this rank has one.
VideoPlan plan_halves(const BroadcastSchedule& schedule, int64_t batch, const PlanOfRun& plan);

}  // namespace pyracast
