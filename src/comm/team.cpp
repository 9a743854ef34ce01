#include "comm/team.hpp"

#include <numeric>

#include "base/error.hpp"
#include "comm/mpi_communicator.hpp"
#include "comm/nccl_communicator.hpp"

namespace pyracast {

std::vector<int> team_sizes_that_fit(std::span<const int> ranks_of_nodes) {
  int common = 0;
  for (const int ranks : ranks_of_nodes) common = std::gcd(common, ranks);
  std::vector<int> sizes;
  for (int size = 1; size <= common; ++size)
    if (common % size == 0) sizes.push_back(size);
  return sizes;
}

Team split_into_teams(const Ranks& ranks, int ranks_per_video) {
  const auto& of_nodes = ranks.ranks_of_nodes();
  const auto fitting = team_sizes_that_fit(of_nodes);
  require(ranks_per_video >= 1 && fitting.back() % ranks_per_video == 0, "ranks-per-video is ", ranks_per_video,
          ", but a team must fill its node's ranks, of which the nodes hold ", of_nodes, "; the sizes that fit are ",
          fitting);

  const int before = std::accumulate(of_nodes.begin(), of_nodes.begin() + ranks.node_index(), 0);
  const int team_on_node = ranks.node().rank() / ranks_per_video;
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(ranks.node(), team_on_node, ranks.node().rank(), &comm), "splitting the ranks into teams");

  Team team;
  team.comm = OwnedComm(comm);
  team.index = before / ranks_per_video + team_on_node;
  team.count = ranks.size() / ranks_per_video;
  team.rank = team.comm.rank();
  team.size = team.comm.size();
  return team;
}

TeamChannels open_channels(const Team& team, bool cfg_parallel, double deadline, Transport transport, Backend& backend) {
  const std::string name = concat("team ", team.index, ", rank ", team.rank);
  const auto opened = [&](OwnedComm comm) {
    if (transport == Transport::nccl) return make_nccl_communicator(std::move(comm), backend, name, deadline);
    auto by_mpi = make_mpi_communicator(std::move(comm), name, deadline);
    return transport == Transport::mpi ? std::move(by_mpi) : make_staged_communicator(std::move(by_mpi), backend);
  };
  TeamChannels channels;
  channels.whole = opened(duplicate(team.comm));
  if (transport != Transport::mpi) channels.host = make_mpi_communicator(duplicate(team.comm), name, deadline);
  if (!cfg_parallel) return channels;
  require(team.size % 2 == 0, "cfg-parallel needs a team with two equal halves, but ranks-per-video is ", team.size,
          ": use an even number, or leave cfg-parallel out");
  const auto split = [&](int color, int key) {
    MPI_Comm comm = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(team.comm, color, key, &comm), "splitting a team");
    return OwnedComm(comm);
  };
  const int half = team.rank / (team.size / 2), fellow = team.rank % (team.size / 2);
  channels.tokens = opened(split(half, fellow));
  channels.guidance = opened(split(fellow, half));
  return channels;
}

}  // namespace pyracast
