#include "production/savings.hpp"

#include <cstdio>

#include "base/counted.hpp"

namespace pyracast {

void Savings::add(const VideoResult& result) {
  if (result.evaluations.empty()) return;
  for (const EvaluationCost& cost : result.evaluations) {
    for (size_t branch = 0; branch < branch_count; ++branch) {
      computed_[branch] += cost.computed[branch];
      reused_[branch] += result.evaluations.front().computed[branch] - cost.computed[branch];   // the first computes everything
      branch_seconds_[branch] += cost.branches[branch];
      seconds_ += cost.branches[branch];
    }
    seconds_ += cost.communication + cost.other;
    communication_seconds_ += cost.communication;
    bytes_sent_ += cost.all_to_all_bytes;
    bytes_avoided_ += cost.all_to_all_bytes_avoided;
  }
}

void Savings::add(const AuditFinding& finding) {
  audit_seconds_ += finding.seconds;
  audits_ += finding.audit != SampleAudit::none;
  if (!is_compared(int64_t(finding.audit))) return;
  beyond_ += finding.audit != SampleAudit::within;
  worst_psnr_ = std::min(worst_psnr_, finding.psnr);
}

void Savings::report_audits(const Ranks& ranks) const {
  int64_t counts[2] = {audits_, beyond_};
  double seconds = audit_seconds_, worst = worst_psnr_;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, counts, 2, MPI_INT64_T, MPI_SUM, ranks.world()), "adding up audits");
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_SUM, ranks.world()), "adding up audits");
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &worst, 1, MPI_DOUBLE, MPI_MIN, ranks.world()), "finding the worst audit");
  if (ranks.rank() != 0 || counts[0] == 0) return;
  std::fprintf(stderr, "pyracast: audit: %s also made without reuse (%.1f s of rank time); PSNR at worst %.2f dB, %lld beyond "
               "the bound\n",
               counted(counts[0], "sample was", "samples were").c_str(), seconds, worst, (long long)counts[1]);
}

void Savings::report(const Ranks& ranks) const {
  report_audits(ranks);
  // What a reused branch would have taken is what a computed one of its kind took; and likewise a byte.
  double saved = bytes_sent_ > 0 ? communication_seconds_ * double(bytes_avoided_) / double(bytes_sent_) : 0;
  int64_t counts[4] = {0, 0, bytes_sent_, bytes_avoided_};
  for (size_t branch = 0; branch < branch_count; ++branch) {
    if (computed_[branch] > 0) saved += branch_seconds_[branch] / double(computed_[branch]) * double(reused_[branch]);
    if (Branch(branch) == Branch::spatial_mlp || Branch(branch) == Branch::temporal_mlp) continue;
    counts[0] += computed_[branch];
    counts[1] += reused_[branch];
  }
  double seconds[2] = {saved, seconds_};
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, counts, 4, MPI_INT64_T, MPI_SUM, ranks.world()), "adding up what was saved");
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, seconds, 2, MPI_DOUBLE, MPI_SUM, ranks.world()), "adding up what was saved");
  const auto [computed, reused, bytes_sent, bytes_avoided] = counts;
  if (ranks.rank() != 0 || reused == 0) return;
  std::fprintf(stderr, "pyracast: %.1f %% of the attention outputs were reused: about %.0f %% of the denoising time was saved (%.1f s of rank time)",
               100 * double(reused) / double(computed + reused), 100 * seconds[0] / (seconds[0] + seconds[1]), seconds[0]);
  if (bytes_sent > 0)
    std::fprintf(stderr, "; all-to-all bytes: %.1f MiB sent, %.1f MiB avoided", double(bytes_sent) / (1 << 20), double(bytes_avoided) / (1 << 20));
  std::fprintf(stderr, "\n");
}

}  // namespace pyracast
