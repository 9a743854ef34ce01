#include "pab/offloaded_outputs.hpp"

#include <cassert>

#include "base/error.hpp"

namespace pyracast {

// Copies end in the order in which they were begun: behind the last one all memory may be given back.
OffloadedOutputs::~OffloadedOutputs() {
  if (!backend_) return;
  try {
    backend_->follow(last_copy_);
  } catch (const Error&) {   // of a device that is broken, and says so to whoever asks it next
  }
}

std::vector<Site> OffloadedOutputs::sites() const {
  std::vector<Site> all;
  for (const auto& [site, held] : held_) all.push_back(site);
  return all;
}

// A block takes part in copies only, which are in order: it may be written again while an earlier copy still reads it.
void OffloadedOutputs::store(Site site, const Tensor& output) {
  assert(!holds(site));
  backend_ = &output.backend();
  make_room();
  auto [block_bytes, block] = host_block(output.bytes());
  last_copy_ = backend_->begin_download(output.view(), block.get());
  leaving_.push_back({output, last_copy_});
  held_.emplace(site, Held{output.shape(), output.dtype(), output.bytes(), block_bytes, std::move(block)});
}

int64_t OffloadedOutputs::drop(Site site) {
  const auto found = held_.find(site);
  if (found == held_.end()) return 0;
  assert(!arriving_.contains(site));
  const auto bytes = int64_t(found->second.bytes);
  idle_.emplace(found->second.block_bytes, std::move(found->second.block));
  held_.erase(found);
  return bytes;
}

void OffloadedOutputs::fetch(Site site) {
  const Held& held = held_.at(site);
  make_room();
  Tensor output(*backend_, held.shape, held.dtype);
  last_copy_ = backend_->begin_upload(held.block.get(), output.view());
  arriving_.emplace(site, Copied{std::move(output), last_copy_});
}

Tensor OffloadedOutputs::take(Site site) {
  assert(holds(site));
  if (!arriving_.contains(site)) fetch(site);
  const Copied arrived = std::move(arriving_.extract(site).mapped());
  backend_->follow(arrived.end);
  return arrived.output;
}

/// The oldest that leave are waited for, by the device, until one more may be under way.
void OffloadedOutputs::make_room() {
  for (; !leaving_.empty() && leaving_.size() + arriving_.size() >= most_under_way; leaving_.pop_front()) backend_->follow(leaving_.front().end);
}

std::pair<size_t, std::shared_ptr<void>> OffloadedOutputs::host_block(size_t bytes) {
  const auto found = idle_.lower_bound(bytes);
  if (found == idle_.end()) return {bytes, backend_->allocate_host(bytes)};
  std::pair block(found->first, std::move(found->second));
  idle_.erase(found);
  return block;
}

}  // namespace pyracast
