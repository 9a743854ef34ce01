#include "production/audit.hpp"

#include <cstdio>

#include "base/share.hpp"
#include "base/stopwatch.hpp"
#include "metrics/video_drift.hpp"

namespace pyracast {

void AuditFinding::write_to(SampleRecord& record) const {
  record.audit = int64_t(audit);
  record.audit_psnr = psnr;
  record.audit_ssim = ssim;
  record.audit_mse = mse;
  record.audit_seconds = seconds;
}

std::string AuditFinding::text() const {
  if (audit == SampleAudit::not_finite) return "without reuse its values are not finite: they were not compared";
  char numbers[120];
  std::snprintf(numbers, sizeof numbers, "reuse has changed it: PSNR %.2f dB, SSIM %.4f, relative MSE of the latents %.3g", psnr, ssim, mse);
  return numbers;
}

Audit::Audit(const GenerateSettings& settings)
    : percent_(percent_of(settings.audit, "audit")), bound_(settings.audit_bound), fallback_(settings.audit_fallback), seed_(settings.seed) {
  require(percent_ == 0 || !settings.broadcast.empty(), "audit is ", settings.audit,
          ", but nothing is reused: it holds videos made with reuse against the same ones without; give --broadcast FILE, or leave it out");
  require(percent_ > 0 || (!bound_ && !fallback_), "audit-bound and audit-fallback say what follows of an audit, and there is none: give --audit 1%");
  require(!fallback_ || bound_, "audit-fallback needs a bound to fall back at: give --audit-bound DB");
}

bool Audit::chooses(const Prompt& row, uint32_t sample) const {
  return enabled() && is_in_share(concat(row.seed.value_or(seed_), '\n', row.id, '\n', sample), percent_);
}

AuditFinding Audit::compare(VideoResult& result, VideoResult whole) const {
  if (whole.outcome == Outcome::failed) return {.audit = SampleAudit::not_finite};
  const VideoDrift drift = drift_of(whole.video, result.video);
  AuditFinding finding{.audit = SampleAudit::within, .psnr = drift.mean_psnr, .ssim = drift.mean_ssim.value_or(0),
                       .mse = relative_mse(whole.latents, result.latents).value_or(0)};
  if (!bound_ || finding.psnr >= *bound_) return finding;
  finding.audit = fallback_ ? SampleAudit::replaced : SampleAudit::beyond;
  if (fallback_) result = std::move(whole);
  return finding;
}

Json Audit::json() const { return {{"percent", percent_}, {"bound", bound_ ? Json(*bound_) : Json()}, {"fallback", fallback_}}; }

std::optional<AuditedResult> make_audited(const Audit& audit, const Prompt& row, uint32_t sample, bool leads,
                                          const std::function<VideoResult(bool)>& make) {
  const Stopwatch all;
  AuditedResult made{make(true), std::nullopt};
  if (made.result.outcome == Outcome::stopped) return std::nullopt;
  if (made.result.outcome == Outcome::failed || !audit.chooses(row, sample)) return made;
  const double with_reuse = all.seconds();
  VideoResult whole = make(false);
  if (whole.outcome == Outcome::stopped) return std::nullopt;
  const double without = all.seconds() - with_reuse;
  made.finding = leads ? audit.compare(made.result, std::move(whole)) : AuditFinding();
  made.finding->seconds = all.seconds() - (made.finding->audit == SampleAudit::replaced ? without : with_reuse);
  return made;
}

}  // namespace pyracast
