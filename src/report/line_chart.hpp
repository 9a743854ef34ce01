#pragma once
#include <string>
#include <vector>

namespace pyracast {

/// One line of a chart: points (x[i], y[i]) joined in their order.
struct ChartSeries {
  std::string name;   ///< as the key shows it
  std::vector<double> x, y;
};

/// Lines over common axes.
struct LineChart {
  std::string title, x_label, y_label;   ///< any text; none is drawn where it is empty
  bool log_x = false, log_y = false;     ///< log_x: ticks at powers of 2
  bool from_zero = false;                ///< the y axis begins at 0, so that heights can be compared
  std::vector<ChartSeries> series;
  int width = 800, height = 480;         ///< pixels; narrower pages scale it down
};

/// The chart as an SVG element: a file of its own, or part of an HTML page beside others (its ids are its own). It is
/// drawn on a white card, so that it can be read on any page. A point that is not finite, or not positive on a logarithmic
/// axis, is left out and leaves a gap in its line. Throws Error where nothing can be drawn (no series; a series without
/// a name, without a point to draw, or with other than one y an x), and of exit code 69 where gnuplot is missing.
std::string line_chart_svg(const LineChart& chart);

}  // namespace pyracast
