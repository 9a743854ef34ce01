#pragma once
#include "dataset/manifest.hpp"
#include "dataset/shard_writer.hpp"
#include "dataset/work_queue.hpp"

namespace pyracast {

/// Which samples of a manifest are there already: a bit a sample.
class FinishedSamples {
 public:
  explicit FinishedSamples(const Manifest& manifest) : manifest_(manifest), finished_(manifest.total_samples()) {}

  /// Samples that the manifest does not ask for (it may have shrunk) are left alone.
  void add(const FinishedSample& sample) {
    const auto prompt = manifest_.find(sample.row.id);
    if (!prompt || sample.row.sample < 0 || uint64_t(sample.row.sample) >= manifest_.entry(*prompt).samples) return;
    finished_[manifest_.entry(*prompt).first_sample + uint64_t(sample.row.sample)] = true;
    failed_ += sample.failed();
  }

  /// Whether the manifest asks for the sample and it is not finished.
  bool is_to_come(const std::string& id, int64_t sample) const {
    const auto prompt = manifest_.find(id);
    return prompt && sample >= 0 && uint64_t(sample) < manifest_.entry(*prompt).samples && !(*this)(*prompt, uint32_t(sample));
  }
  bool operator()(uint64_t prompt, uint32_t sample) const { return finished_[manifest_.entry(prompt).first_sample + sample]; }
  uint64_t failed() const { return failed_; }

 private:
  const Manifest& manifest_;
  std::vector<bool> finished_;
  uint64_t failed_ = 0;
};

}  // namespace pyracast
