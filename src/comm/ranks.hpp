#pragma once
#include <mpi.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pyracast {

/// Throws Error with MPI's own text unless `result` is MPI_SUCCESS. `what` was being done: "sending a claim".
void check_mpi(int result, std::string_view what);

/// Waits for a request of a control message. Asleep between looks, so that the rank's cores are left to others.
void await(MPI_Request& request, std::string_view what);

/// A communicator of our own, which reports errors instead of ending the job; freed on destruction.
class OwnedComm {
 public:
  OwnedComm() = default;
  explicit OwnedComm(MPI_Comm comm);
  ~OwnedComm();
  OwnedComm(OwnedComm&& other) noexcept;
  OwnedComm& operator=(OwnedComm&& other) noexcept;
  operator MPI_Comm() const { return comm_; }
  int rank() const;
  int size() const;

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
};

/// A copy of `comm` with messages of its own. All its ranks call this.
OwnedComm duplicate(MPI_Comm comm);

/// The processes of the job and the nodes they run on, as MPI tells them: batch variables lie under mpirun. Starts MPI
/// for several threads and ends it; where an exception passes, the destructor ends the whole job, because other ranks
/// may wait for this one for ever.
class Ranks {
 public:
  Ranks(int& argc, char**& argv);
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  const OwnedComm& world() const { return world_; }

  /// The ranks that share this one's memory.
  const OwnedComm& node() const { return node_; }
  int node_index() const { return node_index_; }
  int node_count() const { return int(ranks_of_nodes_.size()); }

  /// How many ranks run on each node; nodes are counted in the order of their lowest rank.
  const std::vector<int>& ranks_of_nodes() const { return ranks_of_nodes_; }

  /// The name of this rank's host.
  const std::string& node_name() const { return node_name_; }

  /// Does `act` on rank 0 while the others wait, asleep. What it throws is thrown on every rank, as AgreedError.
  void on_first(const std::function<void()>& act) const;

  /// Prints the message with rank and host, and ends all ranks at once. Any thread may call it.
  [[noreturn]] void abort(std::string_view message, int exit_status = 1) const;

 private:
  struct Started {
    Started(int& argc, char**& argv);
    ~Started();
    int exceptions;
  } started_;
  OwnedComm world_, node_;
  int rank_ = 0, size_ = 1, node_index_ = 0;
  std::vector<int> ranks_of_nodes_;
  std::string node_name_;
};

}  // namespace pyracast
