#include "pab/broadcast_schedule.hpp"

#include <cassert>

namespace pyracast {

BroadcastSchedule::BroadcastSchedule(int evaluations, int blocks)
    : evaluations_(evaluations), blocks_(blocks), reuse_(size_t(evaluations) * size_t(blocks) * branch_count, false) {}

void BroadcastSchedule::set_reuse(int evaluation, Site site, bool reuse) {
  assert(evaluation > 0 || !reuse);
  reuse_[index(evaluation, site)] = reuse;
}

bool BroadcastSchedule::needed_after(int evaluation, Site site) const {
  return evaluation + 1 < evaluations_ && reuses(evaluation + 1, site);
}

std::vector<bool> evaluations_that_leave_nothing(const BroadcastSchedule& schedule) {
  std::vector<bool> leaves_nothing(size_t(schedule.evaluations()), true);
  for (int evaluation = 0; evaluation < schedule.evaluations(); ++evaluation)
    for (int block = 0; block < schedule.blocks(); ++block)
      for (int branch = 0; branch < branch_count; ++branch)
        if (schedule.needed_after(evaluation, {Branch(branch), block})) leaves_nothing[size_t(evaluation)] = false;
  return leaves_nothing;
}

std::vector<int> evaluations_that_save(const BroadcastSchedule& schedule, int every) {
  const std::vector<bool> leaves_nothing = evaluations_that_leave_nothing(schedule);
  std::vector<int> saved;
  for (int made = 1, last = 0; made <= schedule.evaluations(); ++made)
    if (made - last >= every && leaves_nothing[size_t(made) - 1]) saved.push_back(last = made);
  return saved;
}

}  // namespace pyracast
