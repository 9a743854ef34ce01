#pragma once
#include "comm/communicator.hpp"
#include "comm/ranks.hpp"

namespace pyracast {

/// The GPUs of the ranks of an MPI communicator, one a rank, by NCCL; buffers lie in the memory of `backend`, a CUDA back
/// end. Operations run on a stream of their own, one after the other, each behind what the back end was asked for; what the back end is
/// asked next waits for them, unless they were begun beside it. They end after the call returns. One that takes longer than `deadline`
/// seconds, once its data was ready and the one before had ended, ends the job with a message: NCCL is aborted, then MPI, so that nobody
/// waits in one for a rank that waits in the other. Throws Error in builds without NCCL. All ranks call this.
std::unique_ptr<Communicator> make_nccl_communicator(OwnedComm comm, Backend& backend, std::string name, double deadline);

}  // namespace pyracast
