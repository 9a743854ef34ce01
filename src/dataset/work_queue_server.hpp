#pragma once
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "comm/ranks.hpp"
#include "dataset/work_queue_list.hpp"

namespace pyracast {

// What the leaders of the teams and the server say to each other: five numbers, of a kind first.
//   leader -> server  claim              answered by one answer
//                     report done failed
//                     stop               all teams are to stop
//                     leave              last message of a leader
//   server -> leader  answer             claim prompt first_sample samples | empty | stopped
//                     notice             exactly one a leader: when the job is asked to stop, or in answer to leave

enum class QueueMessage : int64_t { claim, report, stop, leave, empty, stopped };
using QueueWords = std::array<int64_t, 4>;
enum QueueTag : int { to_server = 1, answer = 2, notice = 3 };

/// How far the job is, counted in samples.
struct Progress {
  uint64_t total = 0;     ///< of the manifest
  uint64_t finished = 0;  ///< before this job
  uint64_t done = 0, failed = 0;
};

/// What a queue gives out.
struct WorkSource {
  std::function<std::optional<Claim>()> take;   ///< the next claim; nothing when all is claimed. Called from the serving thread
  Progress at_start = {};
};

/// The samples of a manifest that are not finished, as WorkList gives them.
WorkSource samples_left(const Manifest& manifest, IsFinished is_finished, uint32_t most_samples);

/// Gives out the claims of a job: a thread of world rank 0, so that a claim never waits for a rank that computes. It
/// sleeps between looks at its own communicator. What it cannot go on from ends the job.
class WorkServer {
 public:
  /// `leaders`: the ranks of `comm` that claim.
  WorkServer(const Ranks& ranks, MPI_Comm comm, std::vector<int> leaders, WorkSource source);

  /// Waits until every leader has left; not while an exception passes.
  ~WorkServer();
  WorkServer(const WorkServer&) = delete;
  WorkServer& operator=(const WorkServer&) = delete;

  /// Waits until every leader has left.
  void wait();

  Progress progress() const;

 private:
  void serve();
  void answer_one(int leader, const QueueWords& words);
  void give(int leader);
  void notify(size_t leader, QueueMessage message);
  void send(int leader, QueueWords words, QueueTag tag);

  const Ranks& ranks_;
  MPI_Comm comm_;
  std::vector<int> leaders_;
  std::vector<bool> notified_;
  size_t left_ = 0;
  WorkSource source_;
  bool stopping_ = false;
  std::atomic<uint64_t> done_ = 0, failed_ = 0;
  std::atomic<bool> abandoned_ = false;
  std::thread thread_;
};

}  // namespace pyracast
