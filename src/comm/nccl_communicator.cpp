#include "comm/nccl_communicator.hpp"

#include <nccl.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "comm/patience.hpp"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/launch.hpp"

namespace pyracast {

namespace {

using namespace std::chrono_literals;
using cuda::check;

void check(ncclResult_t result, std::string_view what) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw Error(concat("NCCL: ", what, " failed: ", ncclGetErrorString(result)), ExitCode::environment);
}

/// A point in a stream's work.
using Event = std::shared_ptr<std::remove_pointer_t<cudaEvent_t>>;

Event recorded(cudaStream_t stream) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  const Event owned(event, [](cudaEvent_t made) { cudaEventDestroy(made); });
  check(cudaEventRecord(event, stream), "noting a moment");
  return owned;
}

bool is_reached(const Event& event) {
  const cudaError_t result = cudaEventQuery(event.get());
  if (result == cudaErrorNotReady) return cudaGetLastError(), false;   // it is no error, and nobody is to find it
  return check(result, "looking after a transfer"), true;
}

/// A stream of this rank's GPU, whose kernels begin before those of other streams that wait for a place: a transfer is small, and is waited for.
class Stream {
 public:
  Stream() {
    int least = 0, greatest = 0;
    check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "asking for streams' priorities");
    check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest), "making a stream");
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Looks after transfers from a thread of its own: `lost` is called, once, when one has not ended `deadline` seconds after
/// its data was ready.
class Watchdog {
 public:
  struct Transfer {
    Event ready, done;
    std::string what;
  };

  Watchdog(int device, double deadline, std::function<void(const std::string& why)> lost)
      : device_(device), deadline_(deadline), lost_(std::move(lost)), thread_([this] { watch(); }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void look_after(Transfer transfer) {
    {
      const std::lock_guard lock(mutex_);
      transfers_.push_back(std::move(transfer));
    }
    changed_.notify_one();
  }

 private:
  int device_;
  double deadline_;
  std::function<void(const std::string&)> lost_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Transfer> transfers_;
  bool ending_ = false;
  std::thread thread_;   // last: it uses all of the above

  void watch() try {
    check(cudaSetDevice(device_), "choosing the GPU");
    for (;;) {
      Transfer next;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return ending_ || !transfers_.empty(); });
        if (transfers_.empty()) return;
        next = std::move(transfers_.front());
        transfers_.pop_front();
      }
      while (!is_reached(next.ready)) std::this_thread::sleep_for(2ms);
      for (Patience patience(deadline_); !is_reached(next.done); std::this_thread::sleep_for(2ms))
        if (patience.ended())
          return lost_(concat(next.what, " has not ended after ", patience.waited(),
                              " s: another rank of the team is lost or stopped, and the job ends; the same command continues it"));
    }
  } catch (const std::exception& error) {
    lost_(error.what());
  }
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(OwnedComm comm, CudaBackend& backend, std::string name, double deadline)
      : mpi_(std::move(comm)), backend_(backend), name_(std::move(name)), deadline_(deadline), rank_(mpi_.rank()), size_(mpi_.size()) {
    backend_.stream();   // its GPU is this thread's current one from here on
    int device = 0;
    check(cudaGetDevice(&device), "asking for the GPU");
    ncclUniqueId id{};
    if (rank_ == 0) check(ncclGetUniqueId(&id), "making an identity");
    MPI_Request request;
    check_mpi(MPI_Ibcast(&id, sizeof id, MPI_BYTE, 0, mpi_, &request), "sharing NCCL's identity");
    await(request, "sharing NCCL's identity");
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    check(ncclCommInitRankConfig(&nccl_, size_, id, rank_, &config), "joining the GPUs");
    settle("joining the GPUs");
    stream_.emplace();
    watchdog_.emplace(device, deadline_, [this](const std::string& why) { end_the_job(why); });
  }

  // Ending in order is collective: while an exception passes, the other ranks may never come.
  ~NcclCommunicator() override {
    const bool in_order = std::uncaught_exceptions() == 0 && cudaStreamSynchronize(*stream_) == cudaSuccess;
    watchdog_.reset();
    try {
      if (in_order) check(ncclCommFinalize(nccl_), "ending");
      if (in_order && settled()) ncclCommDestroy(std::exchange(nccl_, nullptr));
    } catch (const Error&) {   // aborted then
    }
    abort();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  bool overlaps() const override { return true; }

  void all_to_all(View in, Counts sent, View out, Counts received) override { backend_.follow(begin_all_to_all(in, sent, out, received)); }

  Moment begin_all_to_all(View in, Counts sent, View out, Counts received) override {
    return begin("an all-to-all", [&] {
      std::vector<Part> to, from;
      int64_t at = 0;
      for (const int64_t count : sent) to.push_back({at, count}), at += count;
      at = 0;
      for (const int64_t count : received) from.push_back({at, count}), at += count;
      exchange(in, to, out, from);
    });
  }

  void all_gather(View in, View out, Counts received) override {
    backend_.follow(begin("an all-gather", [&] {
      const std::vector<Part> to(size_t(size_), {0, received[size_t(rank_)]});
      std::vector<Part> from;
      int64_t at = 0;
      for (const int64_t count : received) from.push_back({at, count}), at += count;
      exchange(in, to, out, from);
    }));
  }

  void broadcast(View data, int root) override {
    backend_.follow(begin("a broadcast", [&] {
      check(ncclBroadcast(data.data, data.data, size_t(data.size()) * size_of(data.dtype), ncclUint8, root, nccl_, *stream_), "a broadcast");
    }));
  }

 private:
  OwnedComm mpi_;
  CudaBackend& backend_;
  std::string name_;
  double deadline_;
  int rank_, size_;
  ncclComm_t nccl_ = nullptr;
  std::optional<Stream> stream_;
  std::optional<Watchdog> watchdog_;

  /// Elements of a buffer that belong to one rank.
  struct Part {
    int64_t begin, count;
  };

  /// All parts at once: sends and receives of a group do not wait for each other. A rank's own part is a copy.
  void exchange(View in, const std::vector<Part>& to, View out, const std::vector<Part>& from) {
    const int64_t element = int64_t(size_of(in.dtype));
    const auto* const sent = static_cast<const char*>(in.data);
    auto* const received = static_cast<char*>(out.data);
    const Part own_to = to[size_t(rank_)], own_from = from[size_t(rank_)];
    if (own_to.count > 0)
      check(cudaMemcpyAsync(received + own_from.begin * element, sent + own_to.begin * element, size_t(own_to.count * element),
                            cudaMemcpyDeviceToDevice, *stream_), "keeping a rank's own part");
    check(ncclGroupStart(), "an exchange");
    ncclResult_t asked = ncclSuccess;   // looked at behind the group's end: in an open group, ncclCommAbort() would do nothing
    const auto ask = [&](const Part& part, auto call) {
      if (part.count == 0 || (asked != ncclSuccess && asked != ncclInProgress)) return;
      asked = call(part.begin * element, size_t(part.count * element));
    };
    for (int other = 0; other < size_; ++other) {
      if (other == rank_) continue;
      ask(to[size_t(other)], [&](int64_t at, size_t bytes) { return ncclSend(sent + at, bytes, ncclUint8, other, nccl_, *stream_); });
      ask(from[size_t(other)], [&](int64_t at, size_t bytes) { return ncclRecv(received + at, bytes, ncclUint8, other, nccl_, *stream_); });
    }
    const ncclResult_t ended = ncclGroupEnd();
    check(asked, "sending and receiving");
    check(ended, "an exchange");
  }

  /// `start` puts work into our stream, behind the back end's so far and our own before it. Gives its end. The watchdog takes transfers in their
  /// order, so that each has the deadline from when its data was ready and the one before had ended.
  template <class Start>
  Moment begin(const char* what, Start start) {
    const Event ready = recorded(backend_.stream());
    check(cudaStreamWaitEvent(*stream_, ready.get(), 0), what);
    start();
    settle(what);
    const Event done = recorded(*stream_);
    watchdog_->look_after({ready, done, concat(name_, ", ", doing_, ": ", what)});
    return {{}, done};
  }

  /// Whether NCCL has taken the last call up, within the deadline; it does so in the background, but for the first one in less time than a
  /// thread sleeps at least.
  bool settled() const {
    constexpr int soon = 2000;   // questions
    ncclResult_t state = ncclInProgress;
    int asked = 0;
    for (Patience patience(deadline_); !patience.ended(); ++asked) {
      check(ncclCommGetAsyncError(nccl_, &state), "asking how it goes");
      if (state != ncclInProgress) return check(state, "an operation"), true;
      if (asked < soon) std::this_thread::yield();
      else std::this_thread::sleep_for(20us);
    }
    return false;
  }

  void settle(const char* what) {
    if (settled()) return;
    abort();
    throw Error(concat(name_, ", ", doing_, ": ", what, " has not begun after ", deadline_,
                       " s: another rank of the team is lost or stopped, and the job ends; the same command continues it"),
                ExitCode::environment);
  }

  void abort() {
    if (nccl_) ncclCommAbort(std::exchange(nccl_, nullptr));
  }

  // What waits for the transfer on the GPU would go on with data that never came: nothing of this process may. NCCL is not asked to give up:
  // where a rank is lost that may wait for it, and the end of the process ends its work on the GPU.
  void end_the_job(const std::string& why) {
    std::fprintf(stderr, "pyracast: %s\n", why.c_str());
    std::fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, int(ExitCode::environment));
  }
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(OwnedComm comm, Backend& backend, std::string name, double deadline) {
  auto* const gpu = dynamic_cast<CudaBackend*>(&backend);
  require(gpu, "NCCL moves data between GPUs, but this rank computes on ", backend.name());
  return std::make_unique<NcclCommunicator>(std::move(comm), *gpu, std::move(name), deadline);
}

}  // namespace pyracast
