#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "comm/team.hpp"
#include "dataset/work_queue_server.hpp"

namespace pyracast {

/// The samples that are left, claimed by all teams of a job from one place. Each is given to one team, longest first.
/// A leader asks for its next claim while it works on the one before.
///
/// All ranks of the job make it and destroy it together. It is left only when every team has left; while an exception
/// passes it waits for nobody, and the job is to be ended by Ranks::abort.
class WorkQueue {
 public:
  /// `asked_to_stop`: whether this rank has been asked (by a signal) to end early; any rank will do. `is_finished` is
  /// called on world rank 0, before this returns and later from the serving thread; elsewhere it may be empty.
  WorkQueue(const Ranks& ranks, const Team& team, const Manifest& manifest, IsFinished is_finished,
            std::function<bool()> asked_to_stop, uint32_t most_samples = 64);
  /// Gives out anything else that can be claimed. `source`: of world rank 0.
  WorkQueue(const Ranks& ranks, const Team& team, WorkSource source, std::function<bool()> asked_to_stop);
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  /// What this team makes next; nothing when all is claimed or the job stops (`stopped` tells which). All ranks of the
  /// team call this and get the same.
  std::optional<Claim> next();

  /// True once next() has ended because a rank of this team or another team was asked to stop.
  bool stopped() const { return stopped_; }

  /// Whether this rank knows that the job is to stop: asked itself, or a leader told so by another team. Asks nobody
  /// and may differ between the ranks of a team, who agree by a reduction of their own.
  bool stopping();

  /// Tells the job that this team has ended so many samples. The leader calls this.
  void report(uint64_t done, uint64_t failed);

  /// Leaves the queue. On world rank 0 this waits until every team has left: progress() then counts all samples.
  void leave();

  /// How far the job is. World rank 0 only.
  Progress progress() const;

 private:
  void ask();
  QueueWords answered();
  void tell(QueueWords words);
  void spread_stop();

  const Team& team_;
  std::function<bool()> asked_to_stop_;
  OwnedComm comm_;
  std::unique_ptr<WorkServer> server_;  // on world rank 0
  QueueWords answer_{}, notice_{};
  MPI_Request answer_request_ = MPI_REQUEST_NULL, notice_request_ = MPI_REQUEST_NULL;
  bool asked_ = false, told_ = false, left_ = false, ended_ = false, stopped_ = false;
};

}  // namespace pyracast
