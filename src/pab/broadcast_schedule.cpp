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

}  // namespace pyracast
