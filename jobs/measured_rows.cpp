#include "jobs/measured_rows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

namespace pyracast {

namespace {

size_t at(MakingPhase phase) { return size_t(phase); }

/// The phases of step_phases, in their order.
constexpr std::array<MakingPhase, step_phases.size()> phases_of_steps{MakingPhase::spatial_attention, MakingPhase::temporal_attention,
                                                                      MakingPhase::cross_attention, MakingPhase::mlp, MakingPhase::communication,
                                                                      MakingPhase::other};

MeasuredVideo measured(const SampleRecord& row, const VideoShape& shape, double until) {
  require(row.status == int64_t(SampleStatus::done), row.id, " sample ", row.sample, " failed: ", row.reason);
  MeasuredVideo video{shape};
  video.seconds[at(MakingPhase::text)] = row.text_seconds;
  video.seconds[at(MakingPhase::decode)] = row.decode_seconds;
  video.seconds[at(MakingPhase::encode)] = row.encode_seconds;
  video.seconds[at(MakingPhase::write)] = row.write_seconds;
  for (const auto& step : row.step_seconds)
    for (size_t i = 0; i < step.size(); ++i) video.seconds[at(phases_of_steps[i])] += double(step[i]);
  video.seconds[at(MakingPhase::rest)] = std::max(0.0, until - row.started - video.all());
  return video;
}

}  // namespace

double MeasuredVideo::all() const {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0) - seconds[at(MakingPhase::encode)] - seconds[at(MakingPhase::write)];
}

std::vector<MeasuredVideo> measured_videos(std::vector<SampleRecord> rows, const std::function<VideoShape(const SampleRecord&)>& shape_of) {
  std::sort(rows.begin(), rows.end(), [](const SampleRecord& a, const SampleRecord& b) { return std::tie(a.team, a.started) < std::tie(b.team, b.started); });
  std::vector<MeasuredVideo> videos;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool is_last = i + 1 == rows.size() || rows[i + 1].team != rows[i].team;
    videos.push_back(measured(rows[i], shape_of(rows[i]), is_last ? rows[i].ended : rows[i + 1].started));
  }
  return videos;
}

LayoutCosts fit_layout(const std::vector<MeasuredVideo>& videos, const std::map<VideoShape, VideoWork>& work) {
  LayoutCosts costs;
  for (size_t phase = 0; phase < making_phases.size(); ++phase) {
    std::vector<MeasuredPhase> points;
    for (const MeasuredVideo& video : videos) points.push_back({work.at(video.shape)[phase], video.seconds[phase]});
    costs.phases[phase] = fit_cost(points);
  }
  struct Sum {
    double measured = 0, predicted = 0;
  };
  std::map<VideoShape, Sum> of_shapes;
  double squares = 0;
  for (const MeasuredVideo& video : videos) {
    const VideoWork& its = work.at(video.shape);
    const double predicted = costs.phases[at(MakingPhase::text)].of(its[at(MakingPhase::text)]) + making_seconds(costs.phases, its);
    of_shapes[video.shape].measured += video.all();
    of_shapes[video.shape].predicted += predicted;
    squares += predicted > 0 ? std::pow(video.all() / predicted - 1, 2) : 0;
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
