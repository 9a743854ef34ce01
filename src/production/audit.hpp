#pragma once
#include <functional>

#include "dataset/prompt.hpp"
#include "dataset/sample.hpp"
#include "pipeline/video_pipeline.hpp"
#include "settings/job_settings.hpp"

namespace pyracast {

/// What reuse has changed in one sample: the columns `audit*` of its record.
struct AuditFinding {
  SampleAudit audit = SampleAudit::none;
  double psnr = 0, ssim = 0, mse = 0;
  double seconds = 0;   ///< of the pass whose video is not kept and of comparing, on this rank

  void write_to(SampleRecord& record) const;
  /// In words, for the log.
  std::string text() const;
};

/// Which samples are also made without reuse, and what becomes of them. Everything follows from the settings and the sample itself, so
/// that neither ranks, order nor kills change a bit.
class Audit {
 public:
  /// Throws Error on an audit without broadcasting, and on a bound or fallback without an audit or, of the latter, a bound.
  explicit Audit(const GenerateSettings& settings);

  bool enabled() const { return percent_ > 0; }
  double share() const { return percent_ / 100; }   ///< of all samples
  /// Whether the sample is one of them: by the hash of seed, id and number.
  bool chooses(const Prompt& row, uint32_t sample) const;

  /// Holds a finished sample against the same one made without reuse, which may have failed. Afterwards `result` is what is kept.
  AuditFinding compare(VideoResult& result, VideoResult whole) const;
  /// The settings as the fingerprint holds them.
  Json json() const;

 private:
  double percent_;
  std::optional<double> bound_;
  bool fallback_;
  uint64_t seed_;
};

struct AuditedResult {
  VideoResult result;
  std::optional<AuditFinding> finding;   ///< absent: it was not chosen, or failed
};

/// Makes a sample by `make(reuses)`, with the run's reuse, and where it is chosen also with none. Nothing where the team was asked to
/// stop. Only where it `leads`, on the team's first rank, the results are compared; the other ranks' findings hold seconds alone.
std::optional<AuditedResult> make_audited(const Audit& audit, const Prompt& row, uint32_t sample, bool leads,
                                          const std::function<VideoResult(bool reuses)>& make);

}  // namespace pyracast
