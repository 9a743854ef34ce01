#pragma once
#include "dataset/sample.hpp"

namespace pyracast {

/// What the audit of one sample has found.
struct AuditedSample {
  std::string id;
  int64_t sample = 0, audit = int64_t(SampleAudit::none);   ///< audit: a SampleAudit
  double psnr = 0, ssim = 0, mse = 0;
};

/// What audits have found, over all samples of a dataset.
class AuditTally {
 public:
  /// Any sample, audited or not, and the seconds in which it and its audit were made.
  void add(AuditedSample sample, double making_seconds, double audit_seconds);
  void add(const SampleRecord& row);

  /// Those with a comparison, the worst PSNR first.
  std::vector<AuditedSample> worst_first() const;
  double median_psnr() const;                          ///< of at least one comparison
  uint64_t compared() const { return compared_.size(); }
  uint64_t audited() const { return compared_.size() + not_finite_; }
  uint64_t not_finite() const { return not_finite_; }
  uint64_t beyond() const { return beyond_; }          ///< the bound; those that were replaced as well
  uint64_t replaced() const { return replaced_; }
  double seconds() const { return seconds_; }
  /// Of all seconds in which samples were made, in 0 to 1.
  double share_of_time() const { return seconds_ > 0 ? seconds_ / (seconds_ + making_seconds_) : 0; }

 private:
  std::vector<AuditedSample> compared_;
  uint64_t not_finite_ = 0, beyond_ = 0, replaced_ = 0;
  double seconds_ = 0, making_seconds_ = 0;
};

}  // namespace pyracast
