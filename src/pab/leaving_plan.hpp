#pragma once
#include <cstdint>

#include "pab/broadcast_schedule.hpp"

namespace pyracast {

/// Where a clip can be left so that another job goes on with it: behind an evaluation after which no stored output is reused any more
/// from its latents alone, elsewhere with the outputs that still are. Those take long to write, so they are written only where it costs
/// less than what it saves.
class LeavingPlan {
 public:
  /// `branches`: those that the network has. `output_bytes`: of what is stored for one site, of all tokens of the clip, of one half of
  /// guidance where the schedule parts them: then each half stores its own.
  LeavingPlan(const BroadcastSchedule& schedule, std::span<const Branch> branches, int64_t output_bytes);

  int evaluations() const { return int(outputs_.size()); }
  /// Stored outputs that are still reused behind the evaluation, and their bytes; 0: it leaves nothing.
  int outputs_behind(int evaluation) const { return outputs_[size_t(evaluation)]; }
  int64_t bytes_behind(int evaluation) const { return outputs_behind(evaluation) * output_bytes_; }
  /// How many evaluations later the next one is that leaves nothing; 0: this one. The last of a clip always does.
  int to_one_that_leaves_nothing(int evaluation) const;

  /// Whether progress that is due is saved behind the evaluation, in `saving` seconds, or rather at the next one that leaves nothing.
  bool saves_due(int evaluation, double saving, double seconds_an_evaluation) const {
    return outputs_behind(evaluation) == 0 || saving < to_one_that_leaves_nothing(evaluation) * seconds_an_evaluation;
  }
  /// Whether progress is saved where the team stops. Else what took `lost` seconds is made again.
  bool saves_at_stop(int evaluation, double saving, double lost) const { return outputs_behind(evaluation) == 0 || saving < lost; }

  /// Behind which evaluations, counted from 1, progress is saved that is due after every `every` of them: at once where outputs are saved as
  /// well, else at the next one that leaves nothing.
  std::vector<int> saved(int every, bool with_outputs) const;

 private:
  std::vector<int> outputs_;
  int64_t output_bytes_;
};

}  // namespace pyracast
