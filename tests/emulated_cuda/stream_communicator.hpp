#pragma once
// Exchanges of emulated GPUs that are threads of one process: on a stream of their own, as NCCL's are.
#include "comm/communicator.hpp"
#include "cuda_runtime.h"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/launch.hpp"

namespace pyracast {

/// The ranks of `host`, a communicator of threads: emulated memory is the host's. What `before` does comes before each all-to-all moves anything, on
/// its stream; they are numbered from 0.
class StreamCommunicator final : public Communicator {
 public:
  using Before = std::function<void(int all_to_all)>;

  StreamCommunicator(std::unique_ptr<Communicator> host, Backend& backend, Before before = {})
      : host_(std::move(host)), backend_(dynamic_cast<CudaBackend&>(backend)), before_(std::move(before)) {
    cuda::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }
  ~StreamCommunicator() override {
    cudaSetDevice(0);   // of any thread
    cudaStreamDestroy(stream_);
  }

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  bool overlaps() const override { return true; }
  void all_to_all(View in, Counts sent, View out, Counts received) override { backend_.follow(begin_all_to_all(in, sent, out, received)); }
  Moment begin_all_to_all(View in, Counts sent, View out, Counts received) override {
    return begin([=, this, number = begun_++, sent = copy(sent), received = copy(received)] {
      if (before_) before_(number);
      host_->all_to_all(in, sent, out, received);
    });
  }
  void all_gather(View in, View out, Counts received) override {
    backend_.follow(begin([=, this, received = copy(received)] { host_->all_gather(in, out, received); }));
  }
  void broadcast(View data, int root) override {
    backend_.follow(begin([=, this] { host_->broadcast(data, root); }));
  }

 private:
  std::unique_ptr<Communicator> host_;
  CudaBackend& backend_;
  Before before_;
  cudaStream_t stream_ = nullptr;
  int begun_ = 0;

  static std::vector<int64_t> copy(Counts counts) { return {counts.begin(), counts.end()}; }

  /// Behind what the back end was asked for; gives the end.
  Moment begin(std::function<void()> act) {
    cuda::check(cudaStreamWaitEvent(stream_, static_cast<cudaEvent_t>(backend_.moment().event.get()), 0), "an exchange");
    emulated::later(stream_, std::move(act));
    cudaEvent_t end = nullptr;
    cuda::check(cudaEventCreateWithFlags(&end, cudaEventDisableTiming), "an exchange");
    cuda::check(cudaEventRecord(end, stream_), "an exchange");
    return {{}, {end, [](void* made) { cudaEventDestroy(static_cast<cudaEvent_t>(made)); }}};
  }
};

}  // namespace pyracast
