#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.hpp"

namespace pyracast {

/// Elements for, or from, each rank, in the order of ranks.
using Counts = std::span<const int64_t>;

/// Moves data between the ranks of one video; buffers lie where the ranks' Backend computes. MPI serves the CPU
/// (comm/mpi_communicator.hpp), NCCL the GPUs of a node, threads of one process the tests, and a team of one copies. All ranks call the same
/// operations in the same order; one that takes longer than the deadline throws Error naming it, and the job ends: a lost rank hangs nobody.
class Communicator {
 public:
  virtual ~Communicator() = default;
  /// What the team is about, for messages: "evaluation 3 of 30".
  virtual void set_doing(std::string what) { doing_ = std::move(what); }
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// `in` holds sent[q] elements for each rank q, one part behind the other; `out` gets received[q] from each.
  virtual void all_to_all(View in, Counts sent, View out, Counts received) = 0;
  /// The same beside what the back end is asked for next, until that follow()s the moment given; till then `in` must stay as it is and `out` must
  /// not be read, and both must live. One may begin while others are under way.
  virtual Moment begin_all_to_all(View in, Counts sent, View out, Counts received) {
    all_to_all(in, sent, out, received);
    return {std::chrono::steady_clock::now()};
  }
  /// Whether an all-to-all that was begun goes on while the device computes: what is computed is worth parting then.
  virtual bool overlaps() const { return false; }
  /// Every rank's `in` behind one another, on every rank; received[q] elements come from rank q.
  virtual void all_gather(View in, View out, Counts received) = 0;
  /// `data` of rank `root` on every rank.
  virtual void broadcast(View data, int root) = 0;

 protected:
  std::string doing_ = "nothing yet";
};

/// A team of one.
std::unique_ptr<Communicator> make_lone_communicator();

/// `size` ranks that are threads of this process; each thread uses its own element.
std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int size);

/// The ranks of `host`, which moves data in the host's memory, for buffers of a device: each operation takes what it sends
/// from there and puts what it gets there. Waits for the device.
std::unique_ptr<Communicator> make_staged_communicator(std::unique_ptr<Communicator> host, Backend& backend);

/// Hears what a team is about; see set_doing.
using DoingListener = std::function<void(const std::string& doing)>;

/// One rank of a team whose other ranks do not exist: nothing is moved. For a device that computes nothing; `overlaps`: as those of the device
/// that is planned do.
std::unique_ptr<Communicator> make_planning_communicator(int rank, int size, DoingListener listener = {}, bool overlaps = false);

/// Who talks to whom while a team makes a video.
struct TeamChannels {
  std::unique_ptr<Communicator> whole;      ///< all ranks of the team
  std::unique_ptr<Communicator> tokens;     ///< guidance in parallel: the half team that shares this rank's tokens; else absent
  std::unique_ptr<Communicator> guidance;   ///< guidance in parallel: this rank (of its half) and its fellow in the other half
  std::unique_ptr<Communicator> host = {};  ///< all ranks, for numbers in the host's memory; absent where the others' buffers lie there too

  Communicator& sharing_tokens() const { return tokens ? *tokens : *whole; }
  Communicator& for_numbers() const { return host ? *host : *whole; }
  /// Of all of them; see Communicator.
  void set_doing(const std::string& what) const;
};

/// A team of one.
TeamChannels lone_channels();
/// Those of one rank that is planned; see make_planning_communicator. `cfg_parallel`: size is even.
TeamChannels planning_channels(int rank, int size, bool cfg_parallel, DoingListener listener, bool overlaps = false);

}  // namespace pyracast
