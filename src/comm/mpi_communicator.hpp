#pragma once
#include "comm/communicator.hpp"
#include "comm/ranks.hpp"

namespace pyracast {

/// The ranks of an MPI communicator; buffers lie in the host's memory. `name` stands in messages; `deadline` is in seconds.
std::unique_ptr<Communicator> make_mpi_communicator(OwnedComm comm, std::string name, double deadline);

}  // namespace pyracast
