#pragma once
#include "kernels/cuda/cuda_backend.hpp"

namespace pyracast::cuda {

/// The way of what leaves a GPU while it works on: a stream of its own and two pinned pieces of the host's memory, one of which is filled
/// while the other is emptied. One tensor at a time.
class Departures {
 public:
  explicit Departures(std::shared_ptr<DeviceStream> device);
  ~Departures();
  Departures(const Departures&) = delete;
  Departures& operator=(const Departures&) = delete;

  /// Copies `bytes` bytes of the GPU's memory to `host` when `ready` has come, and returns when they are there. In any thread.
  void operator()(const void* from, size_t bytes, cudaEvent_t ready, void* host);

 private:
  struct Piece {
    std::shared_ptr<void> memory;
    cudaEvent_t filled = nullptr;
  };
  std::shared_ptr<DeviceStream> device_;
  std::mutex one_at_a_time_;
  cudaStream_t stream_ = nullptr;
  Piece pieces_[2];
};

}  // namespace pyracast::cuda
