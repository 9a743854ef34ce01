#pragma once
// What the phases of making a video take on a machine: a time for each call and one for each unit of its work.
#include <array>
#include <span>
#include <vector>

#include "plan/beside.hpp"

namespace pyracast {

/// The phases of making one video, as shards time them; rest: what a team does between them, until it begins its next video. leave: of the frames
/// from a GPU, behind decoding. Which of them go on beside the making of the next video: see making_seconds().
enum class MakingPhase {
  text, spatial_attention, temporal_attention, cross_attention, mlp, communication, other, decode, rest, leave, encode, write
};
inline constexpr std::array<const char*, 12> making_phases{"text", "spatial_attention", "temporal_attention", "cross_attention", "mlp",
                                                           "communication", "other", "decode", "rest", "leave", "encode", "write"};

/// How often a phase is entered for one video, and the work of all these times together. The unit is the phase's: multiply-adds of
/// products (branches: blocks are the calls; other: evaluations; text, decode), bytes that a rank sends (communication: exchanges
/// are the calls), pixels (rest, leave, encode, write).
struct PhaseWork {
  double calls = 0, work = 0;
  bool operator==(const PhaseWork&) const = default;
};
/// Of one video on the busiest rank of its team; index: MakingPhase.
using VideoWork = std::array<PhaseWork, making_phases.size()>;

VideoWork sum(const VideoWork& a, const VideoWork& b);
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

/// Seconds of a team for one video of many, without its text. With `denoise` for evaluations, exchanges and rest:
///   Beside::nothing   denoise + decode + leave
///   Beside::decoding  the longer of denoise and decode + leave: other cores decode the video before
///   Beside::leaving   decode + the longer of denoise and leave: a GPU decodes and denoises one after the other, while the host asks it for the next
///                     video and the frames of the one before leave it
/// Encoding and writing always go on beside the next video, and count where they take longer than all that.
double making_seconds(const MakingCosts& costs, const VideoWork& work, Beside beside);
/// Seconds from a video's beginning until it is on disk: of all phases, one after the other.
double latency_seconds(const MakingCosts& costs, const VideoWork& work);

}  // namespace pyracast
