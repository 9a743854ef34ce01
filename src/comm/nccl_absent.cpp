// Stands in for nccl_communicator.cpp in builds without NCCL.
#include "base/error.hpp"
#include "comm/nccl_communicator.hpp"

namespace pyracast {

std::unique_ptr<Communicator> make_nccl_communicator(OwnedComm, Backend&, std::string, double) {
  fail("this pyracast was built without NCCL: build the preset \"cuda\" where nccl.h is");
}

}  // namespace pyracast
