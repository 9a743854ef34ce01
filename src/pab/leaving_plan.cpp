#include "pab/leaving_plan.hpp"

namespace pyracast {

LeavingPlan::LeavingPlan(const BroadcastSchedule& schedule, std::span<const Branch> branches, int64_t output_bytes)
    : outputs_(size_t(schedule.evaluations())), output_bytes_(output_bytes) {
  const auto behind = [&](const BroadcastSchedule& of, int evaluation) {
    int outputs = 0;
    for (int block = 0; block < of.blocks(); ++block)
      for (const Branch branch : branches) outputs += of.needed_after(evaluation, {branch, block});
    return outputs;
  };
  const BroadcastSchedule unconditional = schedule.of_unconditional_half();
  for (int evaluation = 0; evaluation < schedule.evaluations(); ++evaluation) {
    outputs_[size_t(evaluation)] = behind(schedule, evaluation);
    if (schedule.parts_halves()) outputs_[size_t(evaluation)] += behind(unconditional, schedule.unconditional_evaluations(evaluation) - 1);
  }
}

int LeavingPlan::to_one_that_leaves_nothing(int evaluation) const {
  int later = 0;
  while (outputs_behind(evaluation + later) > 0) ++later;
  return later;
}

std::vector<int> LeavingPlan::saved(int every, bool with_outputs) const {
  std::vector<int> saved;
  for (int made = 1, last = 0; made <= evaluations(); ++made)
    if (made - last >= every && (with_outputs || outputs_behind(made - 1) == 0)) saved.push_back(last = made);
  return saved;
}

}  // namespace pyracast
