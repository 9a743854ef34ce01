#pragma once
#include <atomic>
#include <thread>

#include "comm/ranks.hpp"

namespace pyracast {

/// Ends the job when a rank is lost or stopped while others wait for it, wherever that is: each rank's thread tells the
/// next rank, in a ring, that it is alive, and listens to the one before. A rank that computes for hours is alive; one
/// that is killed, suspended alone, or on a node that is gone is not.
class Heartbeat {
 public:
  /// All ranks of the job make one and let go of it together. `deadline`: seconds without a sign of life.
  Heartbeat(const Ranks& ranks, double deadline);
  /// Waits until the neighbour says that it ends too.
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  const Ranks& ranks_;
  OwnedComm comm_;
  double deadline_;
  std::atomic<bool> ending_ = false;
  std::thread thread_;

  void beat();
};

}  // namespace pyracast
