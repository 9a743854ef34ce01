#pragma once
#include "comm/ranks.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// What broadcasting has done on this rank in this run.
class Savings {
 public:
  void add(const VideoResult& result);
  /// One line about all ranks, by rank 0, where anything was reused. All ranks call this.
  void report(const Ranks& ranks) const;

 private:
  std::array<int64_t, branch_count> computed_{}, reused_{};   // by Branch
  std::array<double, branch_count> branch_seconds_{};
  double seconds_ = 0, communication_seconds_ = 0;            // of denoising
  int64_t bytes_sent_ = 0, bytes_avoided_ = 0;
};

}  // namespace pyracast
