#include "pab/broadcast_schedule.hpp"

#include <algorithm>
#include <cassert>

namespace pyracast {

BroadcastSchedule::BroadcastSchedule(int evaluations, int blocks)
    : evaluations_(evaluations), blocks_(blocks), reuse_(size_t(evaluations) * size_t(blocks) * branch_count, false),
      reuse_of_half_(size_t(evaluations), false) {}

void BroadcastSchedule::set_reuse(int evaluation, Site site, bool reuse) {
  assert(evaluation > 0 || !reuse);
  reuse_[index(evaluation, site)] = reuse;
}

bool BroadcastSchedule::needed_after(int evaluation, Site site) const {
  return evaluation + 1 < evaluations_ && reuses(evaluation + 1, site);
}

void BroadcastSchedule::set_reuse_of_unconditional_half(int evaluation, bool reuse) {
  assert(evaluation > 0 || !reuse);
  reuse_of_half_[size_t(evaluation)] = reuse;
}

bool BroadcastSchedule::parts_halves() const { return std::find(reuse_of_half_.begin(), reuse_of_half_.end(), true) != reuse_of_half_.end(); }

int BroadcastSchedule::unconditional_evaluations(int through) const {
  return int(std::count(reuse_of_half_.begin(), reuse_of_half_.begin() + through + 1, false));
}

BroadcastSchedule BroadcastSchedule::of_unconditional_half() const {
  BroadcastSchedule half(unconditional_evaluations(evaluations_ - 1), blocks_);
  const long row = long(blocks_) * branch_count;
  auto to = half.reuse_.begin();
  for (int e = 0; e < evaluations_; ++e)
    if (!reuses_unconditional_half(e)) to = std::copy_n(reuse_.begin() + e * row, row, to);
  return half;
}

}  // namespace pyracast
