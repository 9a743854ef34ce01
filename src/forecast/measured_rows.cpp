#include "forecast/measured_rows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

namespace pyracast {

namespace {

size_t at(MakingPhase phase) { return size_t(phase); }

/// The phases of step_phases, in their order.
constexpr std::array<MakingPhase, step_phases.size()> phases_of_steps{MakingPhase::spatial_attention, MakingPhase::temporal_attention,
                                                                      MakingPhase::cross_attention, MakingPhase::mlp, MakingPhase::communication,
                                                                      MakingPhase::other};

/// What shards say: all but rest and leave.
MeasuredVideo timed(const SampleRecord& row, const VideoShape& shape) {
  require(row.status == int64_t(SampleStatus::done), row.id, " sample ", row.sample, " failed: ", row.reason);
  MeasuredVideo video{shape};
  video.seconds[at(MakingPhase::text)] = row.text_seconds;
  video.seconds[at(MakingPhase::decode)] = row.decode_seconds;
  video.seconds[at(MakingPhase::encode)] = row.encode_seconds;
  video.seconds[at(MakingPhase::write)] = row.write_seconds;
  for (const auto& step : row.step_seconds)
    for (size_t i = 0; i < step.size(); ++i) video.seconds[at(phases_of_steps[i])] += double(step[i]);
  return video;
}

/// The text's and the evaluations' seconds.
double denoise_seconds(const MeasuredVideo& video) {
  const auto& seconds = video.seconds;
  return std::accumulate(seconds.begin(), seconds.begin() + at(MakingPhase::decode), 0.0);
}

/// Adds rest and leave, and what all that took of the team. `next`: the row of its next video; null: there is none, and the team waits for the end
/// of this one. `behind`: seconds of decoding the video before that lie behind this one's beginning; afterwards, the same of this video for the
/// next.
void add_what_is_between(MeasuredVideo& video, const SampleRecord& row, const SampleRecord* next, Beside beside, double& behind) {
  const double decode = video.seconds[at(MakingPhase::decode)], until = next ? next->started : row.ended;
  const double taken_before = beside == Beside::leaving ? behind : 0;   // a GPU's turn comes behind it, other cores leave it to this one
  const double hidden = std::max(0.0, row.ended - until);
  behind = std::min(decode, hidden);
  double &rest = video.seconds[at(MakingPhase::rest)], &leave = video.seconds[at(MakingPhase::leave)];
  leave = hidden - behind;
  rest = std::max(0.0, until - row.started - denoise_seconds(video) - (decode - behind) - taken_before);
  if (beside == Beside::leaving && !next) leave = std::exchange(rest, 0);
  video.of_team = denoise_seconds(video) + rest + (beside == Beside::decoding ? 0 : decode);
}

}  // namespace

std::vector<MeasuredVideo> measured_videos(std::vector<SampleRecord> rows, const std::function<VideoShape(const SampleRecord&)>& shape_of,
                                           const DemandsOfShapes& demands) {
  const auto before = [](const SampleRecord& a, const SampleRecord& b) { return std::tie(a.team, a.started) < std::tie(b.team, b.started); };
  std::sort(rows.begin(), rows.end(), before);
  std::vector<MeasuredVideo> videos;
  double behind = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0 && rows[i - 1].team != rows[i].team) behind = 0;
    const bool is_last = i + 1 == rows.size() || rows[i + 1].team != rows[i].team;
    MeasuredVideo& video = videos.emplace_back(timed(rows[i], shape_of(rows[i])));
    add_what_is_between(video, rows[i], is_last ? nullptr : &rows[i + 1], demands.at(video.shape).beside, behind);
  }
  return videos;
}

LayoutCosts fit_layout(const std::vector<MeasuredVideo>& videos, const DemandsOfShapes& demands) {
  LayoutCosts costs;
  for (size_t phase = 0; phase < making_phases.size(); ++phase) {
    std::vector<MeasuredPhase> points;
    for (const MeasuredVideo& video : videos) points.push_back({demands.at(video.shape).work[phase], video.seconds[phase]});
    costs.phases[phase] = fit_cost(points);
  }
  struct Sum {
    double measured = 0, predicted = 0;
  };
  std::map<VideoShape, Sum> of_shapes;
  double squares = 0;
  for (const MeasuredVideo& video : videos) {
    const auto& [its, beside] = std::tie(demands.at(video.shape).work, demands.at(video.shape).beside);
    const double predicted = costs.phases[at(MakingPhase::text)].of(its[at(MakingPhase::text)]) + making_seconds(costs.phases, its, beside);
    of_shapes[video.shape].measured += video.of_team;
    of_shapes[video.shape].predicted += predicted;
    squares += predicted > 0 ? std::pow(video.of_team / predicted - 1, 2) : 0;
    const double products = multiply_adds(its);
    costs.least_work = costs.most_work > 0 ? std::min(costs.least_work, products) : products;
    costs.most_work = std::max(costs.most_work, products);
  }
  costs.spread = std::sqrt(squares / double(std::max<size_t>(videos.size(), 1)));
  for (const auto& [shape, sum] : of_shapes)
    if (sum.predicted > 0) costs.error = std::max(costs.error, std::abs(sum.measured / sum.predicted - 1));
  return costs;
}

}  // namespace pyracast
