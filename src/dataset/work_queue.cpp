#include "dataset/work_queue.hpp"

#include <algorithm>
#include <cassert>
#include <exception>
#include <utility>

#include "base/error.hpp"

namespace pyracast {

namespace {

constexpr int server_rank = 0;

/// The ranks that lead a team, on every rank.
std::vector<int> leaders_of(MPI_Comm comm, const Team& team, int size) {
  const int leads = team.leads();
  std::vector<int> leading(static_cast<size_t>(size)), leaders;
  check_mpi(MPI_Allgather(&leads, 1, MPI_INT, leading.data(), 1, MPI_INT, comm), "naming the teams' leaders");
  for (int rank = 0; rank < size; ++rank)
    if (leading[size_t(rank)]) leaders.push_back(rank);
  return leaders;
}

}  // namespace

WorkQueue::WorkQueue(const Ranks& ranks, const Team& team, const Manifest& manifest, IsFinished is_finished,
                     std::function<bool()> asked_to_stop, uint32_t most_samples)
    : WorkQueue(ranks, team, ranks.rank() == server_rank ? samples_left(manifest, std::move(is_finished), most_samples) : WorkSource(),
                std::move(asked_to_stop)) {}

WorkQueue::WorkQueue(const Ranks& ranks, const Team& team, WorkSource source, std::function<bool()> asked_to_stop)
    : team_(team), asked_to_stop_(std::move(asked_to_stop)), comm_(duplicate(ranks.world())) {
  const auto leaders = leaders_of(comm_, team_, ranks.size());
  if (team_.leads())
    check_mpi(MPI_Irecv(notice_.data(), int(notice_.size()), MPI_INT64_T, server_rank, notice, comm_, &notice_request_),
              "listening to the queue");
  if (ranks.rank() == server_rank)
    server_ = std::make_unique<WorkServer>(ranks, comm_, leaders, std::move(source));
}

WorkQueue::~WorkQueue() {
  if (std::uncaught_exceptions() == 0) leave();
}

void WorkQueue::leave() {
  if (std::exchange(left_, true)) return;
  if (team_.leads()) {
    if (asked_) answered();  // a claim fetched ahead and not made: the next run's
    tell({int64_t(QueueMessage::leave)});
    await(notice_request_, "leaving the queue");
  }
  if (server_) server_->wait();
}

void WorkQueue::ask() {
  check_mpi(MPI_Irecv(answer_.data(), int(answer_.size()), MPI_INT64_T, server_rank, answer, comm_, &answer_request_),
            "claiming");
  tell({int64_t(QueueMessage::claim)});
  asked_ = true;
}

QueueWords WorkQueue::answered() {
  await(answer_request_, "waiting for a claim");
  asked_ = false;
  return answer_;
}

// Few bytes, and the server's thread always listens.
void WorkQueue::tell(QueueWords words) {
  check_mpi(MPI_Send(words.data(), int(words.size()), MPI_INT64_T, server_rank, to_server, comm_), "asking the queue");
}

void WorkQueue::spread_stop() {
  if (!std::exchange(told_, true)) tell({int64_t(QueueMessage::stop)});
}

std::optional<Claim> WorkQueue::next() {
  if (ended_) return std::nullopt;
  // One reduction: the largest of what the ranks say, where only the leader has a claim and any rank may say stop.
  std::array<int64_t, 5> said{stopping(), -1, -1, -1, -1};
  if (team_.leads()) {
    if (!asked_) ask();
    const QueueWords words = answered();
    said[0] = said[0] || QueueMessage(words[0]) == QueueMessage::stopped;
    std::copy(words.begin(), words.end(), said.begin() + 1);
  }
  MPI_Request request;
  check_mpi(MPI_Iallreduce(MPI_IN_PLACE, said.data(), int(said.size()), MPI_INT64_T, MPI_MAX, team_.comm, &request),
            "agreeing on the next claim");
  await(request, "agreeing on the next claim");

  stopped_ = said[0] != 0;
  ended_ = stopped_ || QueueMessage(said[1]) == QueueMessage::empty;
  if (team_.leads()) {
    if (stopped_) spread_stop();
    if (!ended_) ask();
  }
  if (ended_) return std::nullopt;
  return Claim{uint64_t(said[2]), uint32_t(said[3]), uint32_t(said[4])};
}

bool WorkQueue::stopping() {
  if (asked_to_stop_ && asked_to_stop_()) return true;
  if (!team_.leads() || notice_request_ == MPI_REQUEST_NULL) return QueueMessage(notice_[0]) == QueueMessage::stopped;
  int arrived = 0;
  check_mpi(MPI_Test(&notice_request_, &arrived, MPI_STATUS_IGNORE), "listening to the queue");
  return arrived && QueueMessage(notice_[0]) == QueueMessage::stopped;
}

void WorkQueue::report(uint64_t done, uint64_t failed) {
  assert(team_.leads());
  tell({int64_t(QueueMessage::report), int64_t(done), int64_t(failed)});
}

Progress WorkQueue::progress() const {
  assert(server_);
  return server_->progress();
}

}  // namespace pyracast
