#pragma once
// What the phases of making a video take on a machine: a time for each call and one for each unit of its work.
#include <array>
#include <span>
#include <vector>

namespace pyracast {

/// The phases of making one video, as shards time them; rest: what a team does between them, until it begins its next video.
/// encode and write are done beside the making of the next video.
enum class MakingPhase { text, spatial_attention, temporal_attention, cross_attention, mlp, communication, other, decode, rest, encode, write };
inline constexpr std::array<const char*, 11> making_phases{"text", "spatial_attention", "temporal_attention", "cross_attention", "mlp", "communication",
                                                           "other", "decode", "rest", "encode", "write"};

/// How often a phase is entered for one video, and the work of all these times together. The unit is the phase's: multiply-adds of
/// products (branches: blocks are the calls; other: evaluations; text, decode), bytes that a rank sends (communication: exchanges
/// are the calls), pixels (rest, encode).
struct PhaseWork {
  double calls = 0, work = 0;
  bool operator==(const PhaseWork&) const = default;
};
/// Of one video on the busiest rank of its team; index: MakingPhase.
using VideoWork = std::array<PhaseWork, making_phases.size()>;

/// Multiply-adds of all its phases.
double multiply_adds(const VideoWork& work);

/// seconds = per_call x calls + per_work x work; both at least 0.
struct PhaseCost {
  double per_call = 0, per_work = 0;
  double of(const PhaseWork& work) const { return per_call * work.calls + per_work * work.work; }
};
using MakingCosts = std::array<PhaseCost, making_phases.size()>;

struct MeasuredPhase {
  PhaseWork work;
  double seconds = 0;
};

/// The costs whose relative errors against the means of equal work are least, squared. Where all that was measured is one kind of work
/// (calls and work in one ratio) the work takes it all, or the calls where there is no work. Nothing measured costs nothing.
PhaseCost fit_cost(std::span<const MeasuredPhase> measured);

/// Seconds of a team for one video, without its text; encoding and writing beside it may take longer than all else.
double making_seconds(const MakingCosts& costs, const VideoWork& work);
/// Seconds from a video's beginning until it is on disk.
double latency_seconds(const MakingCosts& costs, const VideoWork& work);

}  // namespace pyracast
