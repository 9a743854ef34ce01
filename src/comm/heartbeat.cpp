#include "comm/heartbeat.hpp"

#include <chrono>

#include "base/error.hpp"
#include "comm/patience.hpp"

namespace pyracast {

Heartbeat::Heartbeat(const Ranks& ranks, double deadline)
    : ranks_(ranks), comm_(duplicate(ranks.world())), deadline_(deadline) {
  if (ranks.size() > 1) thread_ = std::thread([this] { beat(); });
}

Heartbeat::~Heartbeat() {
  ending_ = true;
  if (thread_.joinable()) thread_.join();
}

// A message is 1, or 0 for the last one. They are tiny and never wait for the receiver.
void Heartbeat::beat() try {
  const int next = (ranks_.rank() + 1) % ranks_.size(), before = (ranks_.rank() + ranks_.size() - 1) % ranks_.size();
  const auto pause = std::chrono::duration<double>(std::min(0.05, deadline_ / 40));
  const double between_beats = std::min(5.0, deadline_ / 10);
  Patience until_lost(deadline_), until_beat(0);
  int heard = 1, said = 1;
  MPI_Request hearing = MPI_REQUEST_NULL;
  while (heard || said) {
    if (hearing == MPI_REQUEST_NULL && heard)
      check_mpi(MPI_Irecv(&heard, 1, MPI_INT, before, 0, comm_, &hearing), "listening to a neighbour");
    if (said && (ending_ || until_beat.ended())) {
      said = !ending_;
      check_mpi(MPI_Send(&said, 1, MPI_INT, next, 0, comm_), "telling a neighbour");
      until_beat = Patience(between_beats);
    }
    int arrived = 0;
    if (hearing != MPI_REQUEST_NULL) check_mpi(MPI_Test(&hearing, &arrived, MPI_STATUS_IGNORE), "listening to a neighbour");
    if (arrived) until_lost = Patience(deadline_);
    else if (heard && until_lost.ended())
      ranks_.abort(concat("rank ", before, " has given no sign of life for ", deadline_,
                          " s: it is lost or stopped, and the job ends; the same command continues it"),
                   int(ExitCode::environment));
    if (!arrived) std::this_thread::sleep_for(pause);
  }
} catch (const std::exception& error) {
  ranks_.abort(error.what(), int(ExitCode::environment));
}

}  // namespace pyracast
