#include "comm/communicator.hpp"

#include <sched.h>

#include <barrier>
#include <climits>
#include <cstring>
#include <thread>

#include "base/error.hpp"
#include "comm/patience.hpp"

namespace pyracast {

namespace {

class LoneCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_to_all(View in, Counts, View out, Counts) override { copy(in, out); }
  void all_gather(View in, View out, Counts) override { copy(in, out); }
  void broadcast(View, int) override {}

 private:
  static void copy(View in, View out) { std::memcpy(out.data, in.data, size_t(in.size()) * size_of(in.dtype)); }
};

/// Where each rank's part begins.
std::vector<int64_t> starts_of(Counts counts) {
  std::vector<int64_t> starts{0};
  for (const int64_t count : counts) starts.push_back(starts.back() + count);
  return starts;
}

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

/// What the threads of one process share.
struct Meeting {
  explicit Meeting(int size) : barrier(size), views(size_t(size)), starts(size_t(size)) {}
  std::barrier<> barrier;
  std::vector<View> views;
  std::vector<std::vector<int64_t>> starts;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Meeting> meeting, int rank) : meeting_(std::move(meeting)), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return int(meeting_->views.size()); }

  void all_to_all(View in, Counts sent, View out, Counts received) override {
    show(in, starts_of(sent));
    take(out, received, [&](int from) { return meeting_->starts[size_t(from)][size_t(rank_)]; });
  }
  void all_gather(View in, View out, Counts received) override {
    show(in, {0});
    take(out, received, [](int) { return int64_t(0); });
  }
  void broadcast(View data, int root) override {
    show(data, {0});
    if (rank_ != root) copy(meeting_->views[size_t(root)], 0, data, 0, data.size());
    meeting_->barrier.arrive_and_wait();
  }

 private:
  std::shared_ptr<Meeting> meeting_;
  int rank_;

  void show(View view, std::vector<int64_t> starts) {
    meeting_->views[size_t(rank_)] = view;
    meeting_->starts[size_t(rank_)] = std::move(starts);
    meeting_->barrier.arrive_and_wait();
  }
  template <class Start>
  void take(View out, Counts received, Start start) {
    const std::vector<int64_t> to = starts_of(received);
    for (int from = 0; from < size(); ++from)
      copy(meeting_->views[size_t(from)], start(from), out, to[size_t(from)], received[size_t(from)]);
    meeting_->barrier.arrive_and_wait();   // nobody's buffer goes before all have read it
  }
  static void copy(View in, int64_t in_start, View out, int64_t out_start, int64_t count) {
    const size_t element = size_of(in.dtype);
    if (count > 0)
      std::memcpy(static_cast<char*>(out.data) + size_t(out_start) * element,
                  static_cast<const char*>(in.data) + size_t(in_start) * element, size_t(count) * element);
  }
};

}  // namespace

std::unique_ptr<Communicator> make_lone_communicator() { return std::make_unique<LoneCommunicator>(); }

void TeamChannels::set_doing(const std::string& what) const {
  for (const auto* channel : {&whole, &tokens, &guidance})
    if (*channel) (*channel)->set_doing(what);
}

TeamChannels lone_channels() { return {make_lone_communicator(), nullptr, nullptr}; }

std::unique_ptr<Communicator> make_mpi_communicator(OwnedComm comm, std::string name, double deadline) {
  return std::make_unique<MpiCommunicator>(std::move(comm), std::move(name), deadline);
}

std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int size) {
  const auto meeting = std::make_shared<Meeting>(size);
  std::vector<std::unique_ptr<Communicator>> all;
  for (int rank = 0; rank < size; ++rank) all.push_back(std::make_unique<ThreadCommunicator>(meeting, rank));
  return all;
}

}  // namespace pyracast
