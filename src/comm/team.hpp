#pragma once
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/ranks.hpp"

namespace pyracast {

/// The ranks that make one video together. All run on one node.
struct Team {
  int index = 0, count = 1;  ///< which of the job's teams this is
  int rank = 0, size = 1;    ///< this process within it
  OwnedComm comm;

  /// Claims for the team and writes its results.
  bool leads() const { return rank == 0; }
};

/// The team sizes that leave no rank of any node over.
std::vector<int> team_sizes_that_fit(std::span<const int> ranks_of_nodes);

/// Teams of neighbouring ranks of one node, counted through the nodes. Throws Error naming the sizes that fit where the
/// ranks of a node cannot be divided so. All ranks of the job call this.
Team split_into_teams(const Ranks& ranks, int ranks_per_video);

/// How tensors travel between the ranks of a team: by MPI, in the host's memory; by MPI through the host's memory from and to devices; or
/// from GPU to GPU by NCCL.
enum class Transport { mpi, staged_mpi, nccl };

/// The team's ways to talk, for tensors of `backend`. `cfg_parallel`: the two halves of guidance are computed by the two halves of the
/// team; throws Error where the team cannot be halved. All ranks of the team call this. `deadline`: seconds for one operation.
TeamChannels open_channels(const Team& team, bool cfg_parallel, double deadline, Transport transport, Backend& backend);

}  // namespace pyracast
