#include "dataset/sample_tally.hpp"

namespace pyracast {

SampleTally::Meeting SampleTally::add(std::string_view id, int64_t sample, bool failed) {
  const auto prompt = manifest_->find_by_hash(id);
  if (!prompt || sample < 0 || uint64_t(sample) >= manifest_->entry(*prompt).samples) {
    ++not_asked_for_;
    return Meeting::not_asked_for;
  }
  auto met = met_[manifest_->entry(*prompt).first_sample + uint64_t(sample)];
  if (met) return Meeting::again;
  met = true;
  ++(failed ? failed_ : done_);
  return Meeting::first;
}

void SampleTally::for_each_left(const std::function<void(uint64_t prompt, uint32_t sample)>& each) const {
  for (uint64_t prompt = 0; prompt < manifest_->size(); ++prompt) {
    const PromptEntry& entry = manifest_->entry(prompt);
    for (uint32_t sample = 0; sample < entry.samples; ++sample)
      if (!met_[entry.first_sample + sample]) each(prompt, sample);
  }
}

}  // namespace pyracast
