#include "dataset/audit_tally.hpp"

#include <algorithm>
#include <tuple>

namespace pyracast {

void AuditTally::add(AuditedSample sample, double making_seconds, double audit_seconds) {
  making_seconds_ += making_seconds;
  seconds_ += audit_seconds;
  not_finite_ += sample.audit == int64_t(SampleAudit::not_finite);
  replaced_ += sample.audit == int64_t(SampleAudit::replaced);
  beyond_ += sample.audit == int64_t(SampleAudit::beyond) || sample.audit == int64_t(SampleAudit::replaced);
  if (is_compared(sample.audit)) compared_.push_back(std::move(sample));
}

void AuditTally::add(const SampleRecord& row) {
  add({row.id, row.sample, row.audit, row.audit_psnr, row.audit_ssim, row.audit_mse}, row.making_seconds(), row.audit_seconds);
}

std::vector<AuditedSample> AuditTally::worst_first() const {
  std::vector<AuditedSample> sorted = compared_;
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return std::tie(a.psnr, a.id, a.sample) < std::tie(b.psnr, b.id, b.sample); });
  return sorted;
}

double AuditTally::median_psnr() const { return worst_first().at(compared_.size() / 2).psnr; }

}  // namespace pyracast
