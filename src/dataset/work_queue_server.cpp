#include "dataset/work_queue_server.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

#include "base/error.hpp"

namespace pyracast {

namespace {

uint64_t count_finished(const Manifest& manifest, const IsFinished& is_finished) {
  uint64_t count = 0;
  for (uint64_t prompt = 0; prompt < manifest.size(); ++prompt)
    for (uint32_t sample = 0; sample < manifest.entry(prompt).samples; ++sample) count += is_finished(prompt, sample);
  return count;
}

}  // namespace

WorkSource samples_left(const Manifest& manifest, IsFinished is_finished, uint32_t most_samples) {
  const Progress at_start{.total = manifest.total_samples(), .finished = count_finished(manifest, is_finished)};
  return {[list = WorkList(manifest, std::move(is_finished), most_samples)]() mutable { return list.take(); }, at_start};
}

WorkServer::WorkServer(const Ranks& ranks, MPI_Comm comm, std::vector<int> leaders, WorkSource source)
    : ranks_(ranks),
      comm_(comm),
      leaders_(std::move(leaders)),
      notified_(leaders_.size()),
      source_(std::move(source)),
      thread_([this] { serve(); }) {}

WorkServer::~WorkServer() {
  // The others compute on and know of nothing; the job's end is the abort that follows the exception.
  if (std::uncaught_exceptions() > 0) abandoned_ = true;
  wait();
}

void WorkServer::wait() {
  if (thread_.joinable()) thread_.join();
}

Progress WorkServer::progress() const {
  Progress now = source_.at_start;
  now.done = done_;
  now.failed = failed_;
  return now;
}

void WorkServer::serve() try {
  using namespace std::chrono_literals;
  auto pause = 200us;
  while (left_ < leaders_.size() && !abandoned_) {
    int arrived = 0;
    MPI_Status status;
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, to_server, comm_, &arrived, &status), "looking for claims");
    if (!arrived) {
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::microseconds(2ms));
      continue;
    }
    QueueWords words;
    check_mpi(
        MPI_Recv(words.data(), int(words.size()), MPI_INT64_T, status.MPI_SOURCE, to_server, comm_, MPI_STATUS_IGNORE),
        "receiving a claim");
    answer_one(status.MPI_SOURCE, words);
    pause = 200us;
  }
} catch (const std::exception& error) {
  ranks_.abort(concat("serving claims: ", error.what()));
}

void WorkServer::answer_one(int leader, const QueueWords& words) {
  switch (QueueMessage(words[0])) {
    case QueueMessage::claim:
      return give(leader);
    case QueueMessage::report:
      done_ += uint64_t(words[1]);
      failed_ += uint64_t(words[2]);
      return;
    case QueueMessage::stop:
      stopping_ = true;
      for (size_t i = 0; i < leaders_.size(); ++i) notify(i, QueueMessage::stopped);
      return;
    case QueueMessage::leave:
      notify(size_t(std::find(leaders_.begin(), leaders_.end(), leader) - leaders_.begin()), QueueMessage::leave);
      ++left_;
      return;
    default:
      fail("rank ", leader, " sent a message of kind ", words[0], ", which only the server sends");
  }
}

void WorkServer::give(int leader) {
  if (stopping_) return send(leader, {int64_t(QueueMessage::stopped)}, answer);
  const auto claim = source_.take();
  if (!claim) return send(leader, {int64_t(QueueMessage::empty)}, answer);
  send(leader, {int64_t(QueueMessage::claim), int64_t(claim->prompt), claim->first_sample, claim->samples}, answer);
}

void WorkServer::notify(size_t leader, QueueMessage message) {
  if (notified_.at(leader)) return;
  notified_[leader] = true;
  send(leaders_[leader], {int64_t(message)}, notice);
}

// Few bytes to a receive that is posted: the call returns without the leader doing anything.
void WorkServer::send(int leader, QueueWords words, QueueTag tag) {
  check_mpi(MPI_Send(words.data(), int(words.size()), MPI_INT64_T, leader, tag, comm_), "answering a claim");
}

}  // namespace pyracast
