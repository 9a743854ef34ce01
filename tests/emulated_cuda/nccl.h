#pragma once
// The part of NCCL that src/comm/nccl_communicator.cpp uses, for processes of one machine whose GPUs are emulated: ranks talk through
// sockets, on a thread of the stream, while the caller goes on, as NCCL's do. What is seen so: that every rank's sends and receives match in
// order and size (each message says its own), that nothing is put behind an exchange before NCCL has taken it up (communicators do not block),
// and what becomes of a rank whose fellow is lost. What is not: speed, and what only NCCL itself does.
#include "cuda_runtime.h"

enum ncclResult_t { ncclSuccess, ncclSystemError, ncclInvalidUsage, ncclInProgress };
const char* ncclGetErrorString(ncclResult_t result);

struct ncclUniqueId {
  char internal[128];
};
struct ncclConfig_t {
  int blocking;
};
#define NCCL_CONFIG_INITIALIZER {1}
enum ncclDataType_t { ncclUint8 };
typedef struct emulated_nccl* ncclComm_t;

ncclResult_t ncclGetUniqueId(ncclUniqueId* id);
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config);
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error);
ncclResult_t ncclCommFinalize(ncclComm_t comm);
ncclResult_t ncclCommDestroy(ncclComm_t comm);
ncclResult_t ncclCommAbort(ncclComm_t comm);
ncclResult_t ncclGroupStart();
ncclResult_t ncclGroupEnd();
ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream);
ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream);
