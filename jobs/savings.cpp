#include "jobs/savings.hpp"

#include <cstdio>

namespace pyracast {

void Savings::add(const OpenSoraResult& result) {
  for (const EvaluationCost& cost : result.evaluations) {
    for (const Branch branch : {Branch::spatial_attention, Branch::temporal_attention, Branch::spatial_cross, Branch::temporal_cross}) {
      const int64_t blocks = result.evaluations.front().computed[size_t(branch)];   // the first computes everything
      computed_ += cost.computed[size_t(branch)];
      reused_ += blocks - cost.computed[size_t(branch)];
    }
    bytes_sent_ += cost.all_to_all_bytes;
    bytes_avoided_ += cost.all_to_all_bytes_avoided;
  }
}

void Savings::report(const Ranks& ranks) const {
  int64_t sums[4] = {computed_, reused_, bytes_sent_, bytes_avoided_};
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, sums, 4, MPI_INT64_T, MPI_SUM, ranks.world()), "adding up what was saved");
  const auto [computed, reused, bytes_sent, bytes_avoided] = sums;
  if (ranks.rank() != 0 || reused == 0) return;
  std::fprintf(stderr, "pyracast: %.1f %% of the attention outputs were reused", 100 * double(reused) / double(computed + reused));
  if (bytes_sent > 0)
    std::fprintf(stderr, "; all-to-all bytes: %.1f MiB sent, %.1f MiB avoided", double(bytes_sent) / (1 << 20), double(bytes_avoided) / (1 << 20));
  std::fprintf(stderr, "\n");
}

}  // namespace pyracast
