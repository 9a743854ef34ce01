#pragma once
#include <limits>

#include "comm/ranks.hpp"
#include "pipeline/video_pipeline.hpp"
#include "production/audit.hpp"

namespace pyracast {

/// What broadcasting has done on this rank in this run.
class Savings {
 public:
  void add(const VideoResult& result);
  void add(const AuditFinding& finding);
  /// One line about all ranks, by rank 0, where anything was reused, and one of audits, where there were any. All ranks call this.
  void report(const Ranks& ranks) const;

 private:
  std::array<int64_t, branch_count> computed_{}, reused_{};   // by Branch
  std::array<double, branch_count> branch_seconds_{};
  double seconds_ = 0, communication_seconds_ = 0;            // of denoising
  int64_t bytes_sent_ = 0, bytes_avoided_ = 0;
  int64_t audits_ = 0, beyond_ = 0;                           // of samples that this rank leads
  double audit_seconds_ = 0, worst_psnr_ = std::numeric_limits<double>::infinity();

  void report_audits(const Ranks& ranks) const;
};

}  // namespace pyracast
