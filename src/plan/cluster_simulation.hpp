#pragma once
// A job on a cluster whose nodes fail and differ in speed, event by event: what of its allocation becomes videos.
//
// The job is one MPI job, as generate is: a node that fails ends it everywhere, and it is started again behind `requeue_delay`. Videos that
// are finished stay; of one that is being made, what was computed until its last checkpoint. A video that was begun is gone on with first.
#include <cstdint>
#include <vector>

#include "plan/makespan.hpp"

namespace pyracast {

/// Times are seconds.
struct SimulatedJob {
  int nodes = 1, teams_per_node = 1;
  std::vector<WorkGroup> list;        ///< videos in their order: seconds of a team on a node of mean speed
  double start_up = 0;                ///< each time the job begins
  double mtbf = 0;                    ///< mean time between failures of one node, exponential; 0: none fails
  double spread = 0;                  ///< of the nodes' seconds for equal work: standard deviation of their logarithm; the mean speed stays
  double checkpoint_interval = 0;     ///< of computing between two checkpoints of a video; 0: none is written
  double checkpoint_seconds = 0;      ///< to write one
  double requeue_delay = 0;           ///< from the end of a job until it begins again; no node is allocated then
  double allocation = 0;              ///< after which the job ends by itself with all progress saved; 0: no such limit
};

/// What became of it. Seconds of teams together, but wall_seconds.
struct SimulatedRun {
  double wall_seconds = 0;            ///< from the first beginning to the end, waiting in the queue included
  double allocated = 0;               ///< of nodes, by all teams: the sum of the following
  double computing = 0;               ///< that was kept, on the nodes as fast as they are
  double checkpointing = 0, lost = 0, starting = 0, idle = 0;   ///< lost: computed in vain; idle: nothing left to begin
  double useful = 0;                  ///< the list's own seconds
  uint64_t failures = 0, starts = 0;
  bool ended = true;                  ///< false: given up after so many starts that it will hardly end
  double efficiency() const { return allocated > 0 ? useful / allocated : 0; }
};

/// The same seed, run, nodes and settings give the same numbers; nodes fail and differ alike whatever the checkpoints. Takes time by the
/// teams and starts, not by videos that are alike. Throws Error on numbers that cannot be.
SimulatedRun simulate_cluster(const SimulatedJob& job, uint64_t seed, uint32_t run);

/// The checkpoint interval that costs least to first order: Young, "A first order approximation to the optimum checkpoint interval", CACM
/// 17 (1974). `mtbf`: of the whole job.
double young_interval(double checkpoint_seconds, double mtbf);

}  // namespace pyracast
