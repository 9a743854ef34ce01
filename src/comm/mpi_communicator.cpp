#include "comm/mpi_communicator.hpp"

#include <sched.h>

#include <climits>
#include <thread>

#include "base/error.hpp"
#include "comm/patience.hpp"

namespace pyracast {

namespace {

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(OwnedComm comm, std::string name, double deadline)
      : comm_(std::move(comm)), name_(std::move(name)), deadline_(deadline), rank_(comm_.rank()), size_(comm_.size()) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void all_to_all(View in, Counts sent, View out, Counts received) override {
    const Parts from(sent), to(received);
    MPI_Request request;
    check_mpi(MPI_Ialltoallv(in.data, from.counts.data(), from.starts.data(), type_of(in.dtype), out.data, to.counts.data(),
                             to.starts.data(), type_of(out.dtype), comm_, &request), "an all-to-all");
    finish(request, "an all-to-all");
  }

  void all_gather(View in, View out, Counts received) override {
    const Parts to(received);
    MPI_Request request;
    check_mpi(MPI_Iallgatherv(in.data, to.counts[size_t(rank_)], type_of(in.dtype), out.data, to.counts.data(), to.starts.data(),
                              type_of(out.dtype), comm_, &request), "an all-gather");
    finish(request, "an all-gather");
  }

  void broadcast(View data, int root) override {
    require(data.size() <= INT_MAX, name_, ": a broadcast of ", data.size(), " elements; MPI counts to ", INT_MAX);
    MPI_Request request;
    check_mpi(MPI_Ibcast(data.data, int(data.size()), type_of(data.dtype), root, comm_, &request), "a broadcast");
    finish(request, "a broadcast");
  }

 private:
  OwnedComm comm_;
  std::string name_;
  double deadline_;
  int rank_, size_;

  struct Parts {
    std::vector<int> counts, starts;
    explicit Parts(Counts given) {
      int64_t at = 0;
      for (const int64_t count : given) {
        require(at + count <= INT_MAX, "a rank's part ends at element ", at + count, "; MPI counts to ", INT_MAX,
                ": use more ranks for a video of this size");
        counts.push_back(int(count));
        starts.push_back(int(at));
        at += count;
      }
    }
  };

  static MPI_Datatype type_of(DType type) {
    switch (size_of(type)) {
      case 1: return MPI_UINT8_T;
      case 2: return MPI_UINT16_T;
      case 4: return MPI_UINT32_T;
      default: return MPI_UINT64_T;
    }
  }

  // The core is given away between looks, first to whoever wants it, then for longer and longer.
  void finish(MPI_Request& request, const char* what) const {
    Patience patience(deadline_);
    for (int looks = 0, done = 0;; ++looks) {
      check_mpi(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what);
      if (done) return;
      if (looks < 2000) {
        ::sched_yield();
        continue;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      if (patience.ended())
        throw Error(concat(name_, ", ", doing_, ": ", what, " has not ended after ", patience.waited(),
                           " s: another rank of the team is lost or stopped, and the job ends; the same command continues it"),
                    ExitCode::environment);
    }
  }
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(OwnedComm comm, std::string name, double deadline) {
  return std::make_unique<MpiCommunicator>(std::move(comm), std::move(name), deadline);
}

}  // namespace pyracast
