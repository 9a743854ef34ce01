#pragma once

namespace pyracast {

/// What of a video goes on while the next one is made: nothing, its decoding (in a team of one, on the CPU), or the leaving of its frames (of
/// a GPU, on a team's first rank).
enum class Beside { nothing, decoding, leaving };

/// What goes on beside the next video in teams of so many ranks that compute on GPUs, or on processors of which each rank has that many idle
/// cores. Of videos that nobody waits for at once: of one clip, and not audited.
constexpr Beside beside_in_teams(bool on_gpus, int ranks, int idle_cores) {
  if (on_gpus) return Beside::leaving;
  return ranks == 1 && idle_cores > 0 ? Beside::decoding : Beside::nothing;
}

}  // namespace pyracast
