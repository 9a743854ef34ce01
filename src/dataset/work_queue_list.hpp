#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "dataset/manifest.hpp"

namespace pyracast {

/// Samples of one prompt, to be made one after the other by one team.
struct Claim {
  uint64_t prompt = 0;  ///< row of the manifest
  uint32_t first_sample = 0;
  uint32_t samples = 0;

  bool operator==(const Claim&) const = default;
};

/// Whether a sample is there already, or has failed for good.
using IsFinished = std::function<bool(uint64_t prompt, uint32_t sample)>;

/// What is left to be made, longest prompts first, in memory that does not grow with the manifest: a position in the
/// manifest's own order. What is finished is asked when its turn comes.
class WorkList {
 public:
  /// The samples of a prompt go together, except that no claim holds more than `most_samples`: a prompt of thousands
  /// of samples must not fall to one team.
  WorkList(const Manifest& manifest, IsFinished is_finished, uint32_t most_samples = 64)
      : manifest_(manifest), is_finished_(std::move(is_finished)), most_samples_(most_samples) {}

  /// The next claim; nothing when all is claimed.
  std::optional<Claim> take();

 private:
  const Manifest& manifest_;
  IsFinished is_finished_;
  uint32_t most_samples_;
  uint64_t position_ = 0;  // in the order of cost
  uint32_t sample_ = 0;    // the first one of that prompt not looked at
};

}  // namespace pyracast
