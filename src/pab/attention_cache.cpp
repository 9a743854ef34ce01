#include "pab/attention_cache.hpp"

namespace pyracast {

void AttentionCache::begin(int evaluation) {
  evaluation_ = evaluation;
  seconds_.restart();
  computed_ = {};
  if (!offloaded_) return;
  assert(offloaded_->arriving() == 0);
  to_fetch_.clear();
  for (int block = 0; block < schedule_.blocks(); ++block)
    for (const Branch branch : order_)
      if (const Site site{branch, block}; reuses(site) && offloaded_->holds(site))
        to_fetch_.push_back(site);  // none where a job takes up another's work
  fetch_ahead();
}

Tensor AttentionCache::stored(Site site) {
  if (!offloaded_) {
    const auto found = stored_.find(site);
    assert(found != stored_.end());
    return found->second;
  }
  const Tensor output = offloaded_->take(site);
  fetch_ahead();
  return output;
}

void AttentionCache::fetch_ahead() {
  for (; !to_fetch_.empty() && offloaded_->arriving() < most_ahead; to_fetch_.pop_front()) offloaded_->fetch(to_fetch_.front());
}

void AttentionCache::keep(Site site, Tensor output) {
  drop(site);
  if (schedule_.needed_after(evaluation_, site)) restore(site, std::move(output));
}

void AttentionCache::drop(Site site) {
  if (offloaded_) {
    bytes_ -= offloaded_->drop(site);
  } else if (const auto old = stored_.find(site); old != stored_.end()) {
    bytes_ -= int64_t(old->second.bytes());
    stored_.erase(old);
  }
}

void AttentionCache::restore(Site site, Tensor output) {
  bytes_ += int64_t(output.bytes());
  most_bytes_ = std::max(most_bytes_, bytes_);
  if (offloaded_) offloaded_->store(site, output);
  else stored_.emplace(site, std::move(output));
}

std::vector<Site> AttentionCache::stored_sites() const {
  if (offloaded_) return offloaded_->sites();
  std::vector<Site> all;
  for (const auto& [site, output] : stored_) all.push_back(site);
  return all;
}

}  // namespace pyracast
