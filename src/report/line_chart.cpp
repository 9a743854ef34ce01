#include "report/line_chart.hpp"

#include <pugixml.hpp>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <locale>
#include <sstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "report/gnuplot.hpp"

namespace pyracast {

namespace {

// Okabe and Ito's colours, which colour-blind readers can tell apart, without their yellow (too pale on white); behind
// them come the same colours with other marks.
constexpr const char* colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"};
constexpr int marks[] = {7, 5, 9, 11, 13, 4, 6};   // gnuplot's numbers: disc, square, triangles, diamond, hollow ones

template <class Array>
auto cyclic(const Array& array, size_t i) {
  return array[i % std::size(array)];
}

bool is_drawn(const LineChart& chart, double x, double y) {
  return std::isfinite(x) && std::isfinite(y) && (!chart.log_x || x > 0) && (!chart.log_y || y > 0);
}

void check(const LineChart& chart) {
  const auto drawn = [&](double x, double y) { return is_drawn(chart, x, y); };
  require(!chart.series.empty(), "the chart \"", chart.title, "\" has no series to draw");
  require(chart.width >= 100 && chart.height >= 100, "the chart \"", chart.title, "\" is ", chart.width, " x ", chart.height,
          " pixels, expected at least 100 x 100");
  for (const ChartSeries& series : chart.series) {
    require(!series.name.empty(), "the chart \"", chart.title, "\" has a series without a name");
    require(series.x.size() == series.y.size(), "the chart \"", chart.title, "\": \"", series.name, "\" has ", series.x.size(),
            " x and ", series.y.size(), " y, expected one y an x");
    bool any = false;
    for (size_t i = 0; i < series.x.size(); ++i) any = any || drawn(series.x[i], series.y[i]);
    require(any, "the chart \"", chart.title, "\": \"", series.name, "\" has no point to draw among ", series.x.size(),
            chart.log_x || chart.log_y ? " (finite, and positive on a logarithmic axis)" : " (finite)");
  }
}

/// Evaluations and blocks are counted: few whole numbers get a tick each, and none between.
bool few_whole_numbers(const LineChart& chart) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const ChartSeries& series : chart.series)
    for (const double x : series.x) {
      if (!std::isfinite(x)) continue;
      if (x != std::round(x)) return false;
      low = std::min(low, x);
      high = std::max(high, x);
    }
  return high - low <= 12;
}

void write_data(std::ostream& script, const LineChart& chart) {
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const ChartSeries& series = chart.series[i];
    script << "$series" << i << " << END\n";
    for (size_t k = 0; k < series.x.size(); ++k) {
      const bool gap = !is_drawn(chart, series.x[k], series.y[k]);
      if (gap) script << '\n';   // an empty line ends a stroke
      else script << series.x[k] << ' ' << series.y[k] << '\n';
    }
    script << "END\n";
  }
}

std::string script_of(const LineChart& chart) {
  std::ostringstream script;
  script.imbue(std::locale::classic());
  script << std::setprecision(std::numeric_limits<double>::max_digits10);
  script << "set encoding utf8\n"
         << "set terminal svg size " << chart.width << ',' << chart.height
         << " fixed noenhanced font 'sans-serif,13' background rgb '#ffffff' rounded\n"
         << "set border 3 lc rgb '#444444'\nset tics nomirror\nset grid lt 1 lw 1 lc rgb '#dddddd'\n"
         << "set key below center horizontal Left reverse samplen 2.5 height 1\nset rmargin 3\n"
         << "set title " << gnuplot_string(chart.title) << '\n'
         << "set xlabel " << gnuplot_string(chart.x_label) << " offset 0,0.3\n"   // apart from the key
         << "set ylabel " << gnuplot_string(chart.y_label) << '\n';
  if (chart.log_y) script << "set logscale y\nset format y '%g'\n";
  if (chart.from_zero) script << "set yrange [0:*]\n";
  if (chart.log_x) script << "set logscale x 2\nset format x '%g'\n";
  else if (few_whole_numbers(chart)) script << "set xtics 1\n";
  write_data(script, chart);
  script << "plot ";
  for (size_t i = 0; i < chart.series.size(); ++i)
    script << (i ? ", " : "") << "$series" << i << " using 1:2 with linespoints lw 2 ps 0.5 pt "
           << cyclic(marks, i / std::size(colours) + i) << " lc rgb '" << cyclic(colours, i) << "' title "
           << gnuplot_string(chart.series[i].name);
  script << '\n';
  return script.str();
}

/// Puts `prefix` before every id and every reference to one: gnuplot gives each picture the same ids.
void prefix_ids(pugi::xml_node node, const std::string& prefix) {
  if (pugi::xml_attribute id = node.attribute("id")) id = (prefix + id.value()).c_str();
  if (pugi::xml_attribute reference = node.attribute("xlink:href"))
    reference = ("#" + prefix + (reference.value() + 1)).c_str();
  for (const pugi::xml_node child : node.children()) prefix_ids(child, prefix);
}

}  // namespace

std::string line_chart_svg(const LineChart& chart) {
  check(chart);
  const std::string script = script_of(chart);
  const std::string drawn = run_gnuplot(script);
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(drawn.data(), drawn.size());
  if (!parsed) throw Error(concat("gnuplot gave no SVG: ", parsed.description()), ExitCode::environment);
  pugi::xml_node svg = document.child("svg");
  if (!svg) throw Error("gnuplot gave no SVG: it has no svg element", ExitCode::environment);
  prefix_ids(svg, "chart-" + sha256(script).substr(0, 12) + "-");
  svg.child("title").text() = chart.title.c_str();
  svg.append_attribute("role") = "img";
  svg.append_attribute("style") = "max-width:100%;height:auto";
  std::ostringstream out;
  svg.print(out, " ");
  return out.str();
}

}  // namespace pyracast
