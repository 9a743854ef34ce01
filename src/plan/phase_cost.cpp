#include "plan/phase_cost.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace pyracast {

namespace {

/// Samples of equal work: the mean of their seconds.
struct Mean {
  PhaseWork work;
  double seconds = 0, samples = 0;
};

std::vector<Mean> means_of(std::span<const MeasuredPhase> measured) {
  std::map<std::pair<double, double>, Mean> means;
  for (const MeasuredPhase& one : measured) {
    Mean& mean = means[{one.work.calls, one.work.work}];
    mean.work = one.work;
    mean.seconds += one.seconds;
    ++mean.samples;
  }
  std::vector<Mean> all;
  for (auto& [work, mean] : means) {
    mean.seconds /= mean.samples;
    if (mean.seconds > 0 && (mean.work.calls > 0 || mean.work.work > 0)) all.push_back(mean);
  }
  return all;
}

}  // namespace

PhaseCost fit_cost(std::span<const MeasuredPhase> measured) {
  // Normal equations of sum over means of n ((a calls + b work) / seconds - 1)^2.
  double cc = 0, cw = 0, ww = 0, c = 0, w = 0;
  const std::vector<Mean> means = means_of(measured);
  for (const Mean& mean : means) {
    const double calls = mean.work.calls / mean.seconds, work = mean.work.work / mean.seconds;
    cc += mean.samples * calls * calls, cw += mean.samples * calls * work, ww += mean.samples * work * work;
    c += mean.samples * calls, w += mean.samples * work;
  }
  if (means.empty()) return {};
  if (ww == 0) return {c / cc, 0};
  const PhaseCost by_work{0, w / ww};
  if (cc == 0 || cc * ww - cw * cw <= 1e-9 * cc * ww) return by_work;
  const double determinant = cc * ww - cw * cw;
  const PhaseCost both{(c * ww - w * cw) / determinant, (cc * w - cw * c) / determinant};
  if (both.per_call >= 0 && both.per_work >= 0) return both;
  // The least of a convex function where one of the two may not be negative lies where one of them is 0.
  const PhaseCost by_call{c / cc, 0};
  return c * c / cc > w * w / ww ? by_call : by_work;
}

VideoWork sum(const VideoWork& a, const VideoWork& b) {
  VideoWork all = a;
  for (size_t phase = 0; phase < all.size(); ++phase) all[phase].calls += b[phase].calls, all[phase].work += b[phase].work;
  return all;
}

double multiply_adds(const VideoWork& work) {
  double all = 0;
  for (size_t phase = 0; phase <= size_t(MakingPhase::decode); ++phase)
    if (phase != size_t(MakingPhase::communication)) all += work[phase].work;
  return all;
}

double making_seconds(const MakingCosts& costs, const VideoWork& work, Beside beside) {
  const auto of = [&](MakingPhase phase) { return costs[size_t(phase)].of(work[size_t(phase)]); };
  double denoise = of(MakingPhase::rest);
  for (size_t phase = size_t(MakingPhase::spatial_attention); phase <= size_t(MakingPhase::other); ++phase) denoise += of(MakingPhase(phase));
  const double decode = of(MakingPhase::decode), leave = of(MakingPhase::leave);
  double making = denoise + decode + leave;
  if (beside == Beside::decoding) making = std::max(denoise, decode + leave);
  if (beside == Beside::leaving) making = decode + std::max(denoise, leave);
  return std::max(making, of(MakingPhase::encode) + of(MakingPhase::write));
}

double latency_seconds(const MakingCosts& costs, const VideoWork& work) {
  double all = 0;
  for (size_t phase = 0; phase < costs.size(); ++phase) all += costs[phase].of(work[phase]);
  return all;
}

}  // namespace pyracast
