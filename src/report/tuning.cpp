#include "report/tuning.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

#include "base/error.hpp"

namespace pyracast {

namespace {

Json to_json(const TunedWay& way) {
  return {{"target", way.target}, {"way", way.way}, {"steps", way.steps}, {"cost", way.cost}, {"speed_up", 1 / way.cost},
          {"predicted_error", way.predicted ? Json(*way.predicted) : Json()}, {"measured_error", way.error}, {"file", way.file},
          {"within_target", way.fits}, {"best", way.best}};
}

}  // namespace

void mark_best(std::vector<TunedWay>& ways, const std::vector<std::string>& by_cost) {
  std::map<std::string, TunedWay*> best;
  for (TunedWay& way : ways) {
    if (!way.fits) continue;
    const bool cheapest = std::count(by_cost.begin(), by_cost.end(), way.target) > 0;
    const auto measure = [&](const TunedWay& w) { return cheapest ? w.cost : w.error; };
    TunedWay*& found = best[way.target];
    if (!found || measure(way) < measure(*found)) found = &way;
  }
  for (const auto& [target, way] : best) way->best = true;
}

std::string tuning_table(const Tuning& tuning) {
  std::string text = "target               way                   steps  cost    speed-up  error       predicted\n";
  for (const TunedWay& way : tuning.ways) {
    char line[200], predicted[24] = "-";
    if (way.predicted) std::snprintf(predicted, sizeof predicted, "%.3e", *way.predicted);
    std::snprintf(line, sizeof line, "%-19s  %-20s  %-5d  %-6.4f  %-8.3f  %-10.3e  %-10s%s\n", way.target.c_str(), way.way.c_str(),
                  way.steps, way.cost, 1 / way.cost, way.error, predicted, way.best ? " best" : way.fits ? "" : " misses the target");
    text += line;
  }
  return text;
}

Json tuning_json(const Tuning& tuning) {
  Json ways = Json::array(), fronts = Json::array(), untuned = Json::array();
  for (const TunedWay& way : tuning.ways) ways.push_back(to_json(way));
  for (const TunedWay& way : tuning.untuned) untuned.push_back(to_json(way));
  for (const TunedFront& front : tuning.fronts)
    fronts.push_back({{"steps", front.steps}, {"cost", front.cost}, {"predicted_error", front.predicted}, {"measured_error", front.measured}});
  return {{"definitions",
           {{"error", "|latents - reference|^2 / |reference|^2, mean over samples; the reference computes everything in all steps"},
            {"cost", "seconds of what is computed, by the costs below, over those of the reference"},
            {"predicted_error", "of the calibration's model, uncorrected by real runs"}}},
          {"ways", std::move(ways)}, {"front", std::move(fronts)}, {"untuned", std::move(untuned)}};
}

LineChart tuning_chart(const Tuning& tuning) {
  LineChart chart{.title = "Error of the final latents against the cost of denoising", .x_label = "cost, share of computing everything",
                  .y_label = "relative mean squared error", .log_y = true};
  for (const TunedFront& front : tuning.fronts)
    chart.series.push_back({concat("tuned, ", front.steps, " steps"), front.cost, front.measured});
  std::map<std::string, ChartSeries> points;
  for (const TunedWay& way : tuning.untuned) {
    ChartSeries& series = points[way.way];
    series.name = way.way;
    series.x.push_back(way.cost);
    series.y.push_back(way.error);
  }
  for (auto& [name, series] : points) chart.series.push_back(std::move(series));
  std::erase_if(chart.series, [](const ChartSeries& series) {   // nothing that a logarithmic axis could show
    return std::none_of(series.y.begin(), series.y.end(), [](double y) { return y > 0; });
  });
  return chart;
}

}  // namespace pyracast
