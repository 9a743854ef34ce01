#include "dataset/work_queue_list.hpp"

namespace pyracast {

std::optional<Claim> WorkList::take() {
  for (; position_ < manifest_.size(); ++position_, sample_ = 0) {
    Claim claim{manifest_.longest(position_), 0, 0};
    const uint32_t samples = manifest_.entry(claim.prompt).samples;
    while (sample_ < samples && is_finished_(claim.prompt, sample_)) ++sample_;
    claim.first_sample = sample_;
    while (sample_ < samples && claim.samples < most_samples_ && !is_finished_(claim.prompt, sample_)) {
      ++claim.samples;
      ++sample_;
    }
    if (claim.samples > 0) return claim;
  }
  return std::nullopt;
}

}  // namespace pyracast
