#include "report/line_chart.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <pugixml.hpp>
#include <set>

#include "base/error.hpp"
#include "report/gnuplot.hpp"

namespace pyracast {
namespace {

using ::testing::HasSubstr;

LineChart two_lines() {
  return {.title = "Differences", .x_label = "evaluation", .y_label = "relative", .log_y = true,
          .series = {{"spatial", {1, 2, 3, 4}, {0.1, 0.01, 0.02, 0.3}}, {"temporal", {1, 2, 3}, {0.2, 0.03, 0.04}}}};
}

pugi::xml_document parsed(const std::string& svg) {
  pugi::xml_document document;
  const pugi::xml_parse_result result = document.load_string(svg.c_str());
  EXPECT_TRUE(result) << result.description();
  return document;
}

std::vector<pugi::xml_node> all(const pugi::xml_node& node, const std::string& name) {
  std::vector<pugi::xml_node> found;
  for (const pugi::xpath_node& match : node.select_nodes(("//*[local-name()='" + name + "']").c_str()))
    found.push_back(match.node());
  return found;
}

std::multiset<std::string> texts(const pugi::xml_document& document) {
  std::multiset<std::string> found;
  for (const pugi::xml_node& text : all(document, "text")) found.insert(text.text().get());
  return found;
}

/// The marks drawn: those of the points, and one a series in the key.
size_t marks(const std::string& svg) {
  size_t count = 0;
  const pugi::xml_document document = parsed(svg);
  for (const pugi::xml_node& use : all(document, "use")) count += use.attribute("transform") && use.attribute("color");
  return count;
}

std::vector<std::string> ids(const std::string& svg) {
  std::vector<std::string> found;
  const pugi::xml_document document = parsed(svg);
  for (const pugi::xpath_node& match : document.select_nodes("//*/@id")) found.push_back(match.attribute().value());
  return found;
}

std::string message_of(const LineChart& chart) {
  try {
    line_chart_svg(chart);
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ExitCode::bad_input);
    return error.what();
  }
  return "no error";
}

TEST(LineChart, IsOneSvgElementOfTheSizeAskedFor) {
  const pugi::xml_document document = parsed(line_chart_svg(two_lines()));
  const pugi::xml_node svg = document.document_element();
  EXPECT_STREQ(svg.name(), "svg");
  EXPECT_STREQ(svg.attribute("xmlns").value(), "http://www.w3.org/2000/svg");
  EXPECT_EQ(svg.attribute("width").as_int(), 800);
  EXPECT_EQ(svg.attribute("height").as_int(), 480);
  EXPECT_STREQ(svg.child("title").text().get(), "Differences");
}

TEST(LineChart, HasTitleLabelsNamesAndEveryPoint) {
  const std::string svg = line_chart_svg(two_lines());
  for (const char* text : {"Differences", "evaluation", "relative", "spatial", "temporal"})
    EXPECT_EQ(texts(parsed(svg)).count(text), 1u) << text;
  EXPECT_EQ(marks(svg), 7u + 2u);
}

TEST(LineChart, StandsOnAWhiteCard) {
  const pugi::xml_document document = parsed(line_chart_svg(two_lines()));
  const pugi::xml_node card = all(document, "rect").front();
  EXPECT_EQ(card.attribute("width").as_int(), 800);
  EXPECT_STREQ(card.attribute("fill").value(), "#ffffff");
}

TEST(LineChart, IsTheSameBytesEachTime) { EXPECT_EQ(line_chart_svg(two_lines()), line_chart_svg(two_lines())); }

TEST(LineChart, SharesNoIdWithAnotherChart) {
  LineChart other = two_lines();
  other.series[0].y[0] = 0.11;
  const std::vector<std::string> first = ids(line_chart_svg(two_lines())), second = ids(line_chart_svg(other));
  ASSERT_FALSE(first.empty());
  std::set<std::string> both(first.begin(), first.end());
  both.insert(second.begin(), second.end());
  EXPECT_EQ(both.size(), first.size() + second.size());
}

TEST(LineChart, ReferencesOnlyIdsOfItsOwn) {
  const std::string svg = line_chart_svg(two_lines());
  const std::vector<std::string> known = ids(svg);
  const pugi::xml_document document = parsed(svg);
  for (const pugi::xml_node& use : all(document, "use"))
    EXPECT_THAT(known, ::testing::Contains(std::string(use.attribute("xlink:href").value()).substr(1)));
}

TEST(LineChart, ShowsTextAsWrittenWhateverGnuplotOrXmlMakesOfIt) {
  LineChart chart = two_lines();
  chart.title = "a <b> & 'c' \"d\" `false` \\ {x}_1 ^2 $series0 # @e href='#gpPt0' \\";
  chart.series[0].name = "</svg> it's `false` \\";
  chart.series[1].name = "été 動画";
  const std::multiset<std::string> found = texts(parsed(line_chart_svg(chart)));
  EXPECT_EQ(found.count(chart.title), 1u);
  EXPECT_EQ(found.count(chart.series[0].name), 1u);
  EXPECT_EQ(found.count(chart.series[1].name), 1u);
}

TEST(LineChart, TurnsLineBreaksIntoSpaces) {
  LineChart chart = two_lines();
  chart.x_label = "one\nset output 'x'";
  EXPECT_EQ(texts(parsed(line_chart_svg(chart))).count("one set output 'x'"), 1u);
}

TEST(LineChart, LeavesAGapAtPointsThatCannotBeDrawn) {
  LineChart chart = two_lines();
  const double none = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  chart.series = {{"gaps", {1, 2, 3, 4, 5, 6, 7}, {none, 0.1, 0, -1, infinite, 0.2, 0.3}}};
  EXPECT_EQ(marks(line_chart_svg(chart)), 3u + 1u);
  chart.log_y = false;
  EXPECT_EQ(marks(line_chart_svg(chart)), 5u + 1u);
}

TEST(LineChart, TicksPowersOfTwoOfALogarithmicXAxis) {
  const std::string svg = line_chart_svg({.log_x = true, .series = {{"nodes", {0, 1, 2, 4, 8, 16}, {1, 1, 2, 3, 4, 5}}}});
  EXPECT_EQ(marks(svg), 5u + 1u) << "0 has no place there";
  const auto found = texts(parsed(svg));
  for (const char* const tick : {"1", "4", "16"}) EXPECT_EQ(found.count(tick), 1u) << tick;
}

TEST(LineChart, BeginsAtZeroWhereAskedTo) {
  LineChart chart{.y_label = "seconds", .series = {{"step", {1, 2, 3}, {50, 52, 54}}}};
  const auto ticks = [&](const std::string& tick) {   // gnuplot puts a space before a tick's number
    const auto found = texts(parsed(line_chart_svg(chart)));
    return found.count(tick) + found.count(" " + tick);
  };
  EXPECT_EQ(ticks("0"), 0u);
  chart.from_zero = true;
  EXPECT_EQ(ticks("0"), 1u);
}

TEST(LineChart, DrawsMoreSeriesThanItHasColours) {
  LineChart chart;
  for (int i = 0; i < 20; ++i) chart.series.push_back({concat("series ", i), {0.5, 1.5}, {double(i), double(i + 1)}});
  const std::string svg = line_chart_svg(chart);
  EXPECT_EQ(marks(svg), 60u);
  EXPECT_EQ(texts(parsed(svg)).count("series 19"), 1u);
}

TEST(LineChart, DrawsMorePointsThanAPipeHolds) {
  LineChart chart{.series = {{"long", {}, {}}}};
  for (int i = 0; i < 20000; ++i) {
    chart.series[0].x.push_back(i);
    chart.series[0].y.push_back(std::sin(i * 0.01));
  }
  EXPECT_EQ(marks(line_chart_svg(chart)), 20001u);
}

TEST(LineChart, DrawsALineThatIsFlatAndASinglePoint) {
  EXPECT_EQ(marks(line_chart_svg({.series = {{"flat", {1, 2, 3}, {0.5, 0.5, 0.5}}}})), 3u + 1u);
  EXPECT_EQ(marks(line_chart_svg({.log_y = true, .series = {{"single", {1}, {0.5}}}})), 1u + 1u);
}

TEST(LineChart, RefusesWhatCannotBeDrawnAndSaysWhy) {
  LineChart chart = two_lines();
  chart.series.clear();
  EXPECT_THAT(message_of(chart), HasSubstr("\"Differences\" has no series"));
  chart = two_lines();
  chart.series[0].name.clear();
  EXPECT_THAT(message_of(chart), HasSubstr("a series without a name"));
  chart = two_lines();
  chart.series[1].y.pop_back();
  EXPECT_THAT(message_of(chart), HasSubstr("\"temporal\" has 3 x and 2 y"));
  chart = two_lines();
  chart.series[1].y = {0, -1, std::numeric_limits<double>::quiet_NaN()};
  EXPECT_THAT(message_of(chart), HasSubstr("\"temporal\" has no point to draw among 3"));
  chart = two_lines();
  chart.series[0] = {"empty", {}, {}};
  EXPECT_THAT(message_of(chart), HasSubstr("\"empty\" has no point to draw among 0"));
  chart = two_lines();
  chart.width = 10;
  EXPECT_THAT(message_of(chart), HasSubstr("10 x 480 pixels, expected at least"));
}

TEST(Gnuplot, NamesItsPackageWhereItIsMissing) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  try {
    line_chart_svg(two_lines());
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ExitCode::environment);
    EXPECT_THAT(error.what(), HasSubstr("gnuplot-nox"));
  }
  setenv("PATH", path.c_str(), 1);
}

TEST(Gnuplot, SaysWhatGnuplotSaysAgainstAScript) {
  try {
    run_gnuplot("plot nonsense_name\n");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ExitCode::environment);
    EXPECT_THAT(error.what(), HasSubstr("nonsense_name"));
  }
}

}  // namespace
}  // namespace pyracast
