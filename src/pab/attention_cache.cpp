#include "pab/attention_cache.hpp"

namespace pyracast {

void AttentionCache::keep(Site site, Tensor output) {
  if (const auto old = stored_.find(site); old != stored_.end()) {
    bytes_ -= int64_t(old->second.bytes());
    stored_.erase(old);
  }
  if (schedule_.needed_after(evaluation_, site)) restore(site, std::move(output));
}

void AttentionCache::restore(Site site, Tensor output) {
  bytes_ += int64_t(output.bytes());
  most_bytes_ = std::max(most_bytes_, bytes_);
  stored_.emplace(site, std::move(output));
}

}  // namespace pyracast
