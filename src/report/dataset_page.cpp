#include "report/dataset_page.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/counted.hpp"
#include "dataset/mp4.hpp"
#include "dataset/picture.hpp"
#include "pab/broadcast_policy.hpp"
#include "report/audit_section.hpp"
#include "report/broadcast_map.hpp"
#include "report/html.hpp"
#include "report/line_chart.hpp"

namespace pyracast {

namespace {

// What this page has besides.
constexpr const char* dataset_style = R"css(
.cards { grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.clips { grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); }
.clips { align-items: start; }
.clips img { width: 100%; max-height: 110px; object-fit: contain; display: block; border-radius: 6px; image-rendering: pixelated; background: var(--line); }
.clips figure { padding: 8px; } .clips figcaption { font-size: 12px; overflow-wrap: anywhere; }
.wide { grid-template-columns: 1fr; } .wide svg { max-height: 420px; }
.flag { background: #b3541e; color: #fff; border-radius: 5px; padding: 1px 6px; font-size: 11px; margin-right: 4px; }
.problems { border: 1px solid #b3541e; border-radius: 10px; padding: 10px 14px 10px 32px; margin: 20px 0 0; overflow-wrap: anywhere; }
td { overflow-wrap: anywhere; } h3 { font-size: 15px; margin: 22px 0 10px; }
)css";

std::string time_of(double seconds) {
  const auto whole = time_t(seconds);
  std::tm parts{};
  gmtime_r(&whole, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

std::string duration(double seconds) {
  if (seconds < 1) return fixed(1000 * seconds, seconds < 0.1 ? 1 : 0) + " ms";
  if (seconds < 120) return fixed(seconds, seconds < 10 ? 2 : 1) + " s";
  if (seconds < 2 * 3600) return fixed(seconds / 60, 1) + " min";
  if (seconds < 48 * 3600) return fixed(seconds / 3600, 1) + " h";
  return fixed(seconds / 86400, 1) + " days";
}

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

/// Seconds in which samples were made: from the first to the last of each run.
double working_seconds(const DatasetSummary& s) {
  double sum = 0;
  for (const auto& [attempt, totals] : s.attempts) sum += totals.ended - totals.began;
  return sum;
}

std::string heading(const DatasetSummary& s) {
  std::string out = "<h1>" + escaped(s.folder.string()) + "</h1>\n<p class=\"soft\">";
  if (s.configuration.contains("model")) out += "model " + escaped(text_of(s.configuration["model"])) + "<br>";
  if (!s.ends.empty()) out += time_of(s.attempts.begin()->second.began) + " to " + time_of(s.ends.back()) + "<br>";
  if (s.run.is_null())
    out += "no run has come to its end: this is from the shards" +
           std::string(s.in_journals ? concat(" and from journals (", counted(s.in_journals, "sample"), ")") : "");
  else if (s.run.contains("version"))
    out += "pyracast " + escaped(text_of(s.run["version"].value("pyracast", Json("?")))) + " (" +
           escaped(text_of(s.run["version"].value("revision", Json("?")))) + ")";
  if (s.rejected) out += concat("<br>", grouped_digits(int64_t(s.rejected)), ' ', noun(s.rejected, "line of the manifest was",
      "lines of the manifest were"), " rejected (rejected.jsonl)");
  out += "</p>\n";
  if (s.problems.empty()) return out;
  out += "<ul class=\"problems\">\n";
  for (const std::string& problem : s.problems) out += "<li>" + escaped(problem) + "</li>\n";
  return out + "</ul>\n";
}

std::string cards(const DatasetSummary& s) {
  const double working = working_seconds(s), rate = working > 0 ? 3600 * double(s.done + s.failed) / working : NAN;
  double seconds = 0;
  for (const NodeTotals& node : s.nodes) seconds += node.seconds;
  std::string out = "<div class=\"cards\">\n";
  out += card(grouped_digits(s.done),
              s.asked_for ? concat("videos of ", grouped_digits(int64_t(*s.asked_for)), " asked for") : std::string("videos"));
  out += card(grouped_digits(s.failed), "failed");
  out += card(grouped_digits(s.flagged), "with a quality flag");
  out += card(s.alike_is_known ? grouped_digits(s.alike) : "–",
              s.alike_is_known ? "look nearly like another one" : "near duplicates are looked for at the end of a run");
  out += card(!std::isfinite(rate) ? "–"
              : rate < 100         ? fixed(rate, 1)
                                   : grouped_digits(std::llround(rate)),
              "videos an hour while it ran");
  out += card(s.done ? duration(seconds / double(s.done)) : "–", "a video on its team, mean");
  out += card(in_bytes(double(s.video_bytes)), duration(s.video_seconds) + " of film");
  out += card(fixed(percent(double(s.attentions_reused), double(s.attentions)), 1) + " %", "attention outputs reused");
  return out + "</div>\n";
}

LineChart throughput_chart(const DatasetSummary& s) {
  const double began = s.attempts.begin()->second.began, span = std::max(s.ends.back() - began, 1e-3);
  const size_t bins = std::clamp<size_t>(s.ends.size() / 4, 6, 120);
  const auto [unit, name] = span < 300        ? std::pair{1.0, "seconds"}
                            : span < 3 * 3600 ? std::pair{60.0, "minutes"}
                                              : std::pair{3600.0, "hours"};
  const bool in_minutes = span < 3 * 3600;
  std::vector<int64_t> counts(bins);
  for (const double end : s.ends) ++counts[std::min(bins - 1, size_t(std::max(0.0, (end - began) / span) * double(bins)))];
  ChartSeries series{"finished samples", {}, {}};
  for (size_t bin = 0; bin < bins; ++bin) {
    series.x.push_back((double(bin) + 0.5) * span / double(bins) / unit);
    series.y.push_back(double(counts[bin]) / (span / double(bins)) * (in_minutes ? 60 : 3600));
  }
  return {.title = "Samples by the time they were finished",
          .x_label = concat(name, " since the first run began"),
          .y_label = in_minutes ? "samples a minute" : "samples an hour",
          .from_zero = true,
          .series = {series},
          .width = 1080,
          .height = 300};
}

std::string throughput(const DatasetSummary& s) {
  std::string out = "<div class=\"charts wide\">\n" + line_chart_svg(throughput_chart(s)) +
                    "</div>\n<p></p><table><tr><th>run</th><th>first sample began</th>"
                    "<th>last one ended</th><th class=\"number\">videos</th><th class=\"number\">failed</th><th "
                    "class=\"number\">videos an hour</th></tr>\n";
  for (const auto& [attempt, totals] : s.attempts) {
    const double seconds = totals.ended - totals.began;
    out += "<tr>" + text_cell(std::to_string(attempt + 1)) + text_cell(time_of(totals.began)) + text_cell(time_of(totals.ended)) +
           number_cell(grouped_digits(totals.done)) + number_cell(grouped_digits(totals.failed)) +
           number_cell(fixed(seconds > 0 ? 3600 * double(totals.done) / seconds : NAN, 1)) + "</tr>\n";
  }
  return out + "</table>\n";
}

/// The samples of the number of evaluations that most have.
const std::pair<const size_t, StepTotals>& most_common(const DatasetSummary& s) {
  return *std::max_element(s.by_evaluations.begin(), s.by_evaluations.end(),
                           [](const auto& a, const auto& b) { return a.second.samples < b.second.samples; });
}

std::string of_which_samples(const DatasetSummary& s) {
  const auto& [evaluations, steps] = most_common(s);
  return concat("<p class=\"soft\">", grouped_digits(steps.samples),
                s.by_evaluations.size() > 1 ? concat(" of ", grouped_digits(s.done)) : "", ' ',
                    noun(s.by_evaluations.size() > 1 ? s.done : steps.samples, "video"), ", of ",
                counted(evaluations, "evaluation"), " of the network each", s.by_evaluations.size() > 1 ? ": the number that most have" : "",
                    ".</p>\n");
}

LineChart timing_chart(const StepTotals& steps) {
  LineChart chart{.title = "Seconds of each evaluation, mean over videos",
                  .x_label = "evaluation",
                  .y_label = "seconds",
                  .from_zero = true,
                  .width = 1080,
                  .height = 360};
  for (size_t phase = 0; phase < step_phases.size(); ++phase) {
    ChartSeries series{words(step_phases[phase]), {}, {}};
    double sum = 0;
    for (size_t e = 0; e < steps.seconds.size(); ++e) {
      series.x.push_back(double(e + 1));
      series.y.push_back(steps.seconds[e][phase] / double(steps.samples));
      sum += steps.seconds[e][phase];
    }
    if (sum > 0) chart.series.push_back(std::move(series));
  }
  return chart;
}

std::string stages_table(const DatasetSummary& s) {
  std::array<double, step_phases.size()> phases{};
  for (const auto& [evaluations, steps] : s.by_evaluations)
    for (const auto& step : steps.seconds)
      for (size_t phase = 0; phase < phases.size(); ++phase) phases[phase] += step[phase];
  std::vector<std::pair<std::string, double>> rows{{"text encoder", s.stages.text}};
  for (size_t phase = 0; phase < phases.size(); ++phase)
    if (phases[phase] > 0) rows.emplace_back("denoising: " + words(step_phases[phase]), phases[phase]);
  rows.insert(rows.end(), {{"decoding", s.stages.decoding},
                           {"MP4, while the next video is made", s.stages.encoding},
                           {"to disk, likewise", s.stages.writing}});
  double all = s.stages.text + s.stages.denoising + s.stages.decoding;
  std::string out =
      "<table><tr><th>where the seconds of each team's first rank went</th><th class=\"number\">a video</th><th "
      "class=\"number\">all</th><th class=\"number\">of making it</th></tr>\n";
  for (const auto& [name, seconds] : rows) {
    const bool beside = name.find("while") != std::string::npos || name.find("likewise") != std::string::npos;
    out += "<tr>" + text_cell(name) + number_cell(duration(seconds / double(s.done))) + number_cell(duration(seconds)) +
           number_cell(beside ? "–" : fixed(percent(seconds, all), 1) + " %") + "</tr>\n";
  }
  return out + "</table>\n";
}

std::string timing(const DatasetSummary& s) {
  if (s.by_evaluations.empty()) return "<p class=\"soft\">No sample has recorded its steps.</p>\n";
  const LineChart chart = timing_chart(most_common(s).second);
  return of_which_samples(s) +
         (chart.series.empty() ? "" : "<div class=\"charts wide\">\n" + line_chart_svg(chart) + "</div>\n<p></p>") + stages_table(s);
}

std::string broadcast(const DatasetSummary& s) {
  if (s.by_evaluations.empty()) return "<p class=\"soft\">No sample has recorded its steps.</p>\n";
  std::string out = of_which_samples(s);
  out += broadcast_map_key;
  if (s.attentions_reused == 0) out += " Nothing was reused: the run was made without broadcasting.";
  return out + "</p>\n" + broadcast_map_svg(most_common(s).second) + "\n";
}

LineChart communication_chart(const StepTotals& steps) {
  ChartSeries sent{"sent", {}, {}}, avoided{"avoided", {}, {}};
  const int64_t most = std::max(*std::max_element(steps.bytes_sent.begin(), steps.bytes_sent.end()),
                                *std::max_element(steps.bytes_avoided.begin(), steps.bytes_avoided.end()));
  const bool small = double(most) / double(steps.samples) < (4 << 20);
  for (size_t e = 0; e < steps.bytes_sent.size(); ++e)
    for (auto [series, bytes] : {std::pair{&sent, steps.bytes_sent[e]}, {&avoided, steps.bytes_avoided[e]}}) {
      series->x.push_back(double(e + 1));
      series->y.push_back(double(bytes) / double(steps.samples) / (small ? 1 << 10 : 1 << 20));
    }
  return {.title = "All-to-all of each evaluation, mean over videos",
          .x_label = "evaluation",
          .y_label = small ? "KiB" : "MiB",
          .from_zero = true,
          .series = {sent, avoided},
          .width = 1080,
          .height = 320};
}

std::string communication(const DatasetSummary& s) {
  const CommunicationTotals& c = s.communication;
  if (c.bytes_sent == 0 && c.bytes_avoided == 0 && c.gather_bytes == 0)
    return "<p class=\"soft\">Each video was made by one rank: nothing was sent.</p>\n";
  std::string out = "<div class=\"cards\">\n" +
                    card(in_bytes(double(c.bytes_sent)), "all-to-all sent, by the first rank of each team") +
                    card(in_bytes(double(c.bytes_avoided)), "avoided, against everything computed and placed as published") +
                    card(fixed(percent(double(c.bytes_avoided), double(c.bytes_sent + c.bytes_avoided)), 1) + " %",
                         "of the all-to-all bytes avoided") +
                    card(in_bytes(double(c.gather_bytes)), "gathered") + "</div>\n<p></p>";
  out += "<div class=\"charts wide\">\n" + line_chart_svg(communication_chart(most_common(s).second)) + "</div>\n<p></p>";
  out += "<table><tr><th>for</th><th class=\"number\">all-to-alls</th><th class=\"number\">sent</th></tr>\n";
  for (size_t branch = 0; branch < size_t(branch_count); ++branch)
    if (c.all_to_alls[branch])
      out += "<tr>" + text_cell(words(name_of(Branch(branch)))) + number_cell(grouped_digits(c.all_to_alls[branch])) +
             number_cell(in_bytes(double(c.bytes[branch]))) + "</tr>\n";
  return out + "</table>\n";
}

std::string failures(const DatasetSummary& s) {
  if (s.failures.empty()) return "<p class=\"soft\">None.</p>\n";
  std::vector<std::pair<std::string, FailureTotals>> classes(s.failures.begin(), s.failures.end());
  std::stable_sort(classes.begin(), classes.end(), [](const auto& a, const auto& b) { return a.second.samples > b.second.samples; });
  std::string
      out = "<table id=\"failures\"><tr><th>class</th><th class=\"number\">samples</th><th>one of them</th><th>its reason</th></tr>\n";
  for (const auto& [name, totals] : classes)
    out += "<tr>" + text_cell(name) + number_cell(grouped_digits(totals.samples)) +
           text_cell(concat(totals.id, totals.sample ? concat(" (", totals.sample, ')') : "")) +
           text_cell(shortened(totals.reason, 300)) + "</tr>\n";
  return out + "</table>\n";
}

std::string nodes(const DatasetSummary& s) {
  constexpr size_t most = 30;
  std::string out =
      "<p class=\"soft\">Relative time: what a node's videos took, over what videos of the same size and steps took on all "
      "nodes.</p>\n<table><tr><th>node</th>"
      "<th class=\"number\">relative time</th><th class=\"number\">videos</th><th class=\"number\">failed</th><th "
      "class=\"number\">teams</th>"
      "<th class=\"number\">seconds a video</th></tr>\n";
  for (size_t i = 0; i < std::min(most, s.nodes.size()); ++i) {
    const NodeTotals& node = s.nodes[i];
    out += "<tr>" + text_cell(node.host) + number_cell(fixed(node.relative_time(), 3)) + number_cell(grouped_digits(node.done)) +
           number_cell(grouped_digits(node.failed)) + number_cell(grouped_digits(node.teams)) +
           number_cell(fixed(node.done ? node.seconds / double(node.done) : NAN, 3)) + "</tr>\n";
  }
  out += "</table>\n";
  if (s.nodes.size() > most) out += concat("<p class=\"soft\">", s.nodes.size() - most, " faster ones are not shown.</p>\n");
  return out;
}

/// Five frames of a clip with what is known of it below.
std::string figure(const DatasetSummary& s, const std::string& file, const std::string& caption) {
  constexpr int frames = 5, longest = 160;
  std::string picture;
  try {
    picture = "<img alt=\"\" src=\"" + data_uri("image/jpeg", jpeg_of(film_strip(read_mp4(s.folder / file), frames, longest))) + "\">";
  } catch (const Error& error) {
    picture = "<p class=\"soft\">" + escaped(shortened(error.what(), 300)) + "</p>";
  }
  return "<figure>" + picture + "<figcaption>" + caption + "</figcaption></figure>\n";
}

std::string caption_of(const SampleRecord& row) {
  std::string flags;
  for (const char* flag : quality_flags)
    if (has_flag(row.quality_flags, flag)) flags += concat("<span class=\"flag\">", flag, "</span>");
  return flags + "<b>" + escaped(row.id) + (row.sample ? concat(" (", row.sample, ')') : "") + "</b> " +
         escaped(shortened(row.prompt, 160));
}

std::string clips_of(const DatasetSummary& s, const std::vector<SampleRecord>& rows) {
  std::string out = "<div class=\"clips\">\n";
  for (const SampleRecord& row : rows) out += figure(s, row.video, caption_of(row));
  return out + "</div>\n";
}

std::string near_duplicates(const DatasetSummary& s) {
  if (!s.alike_is_known) return "<p class=\"soft\">Videos that look nearly alike are looked for at the end of a run.</p>\n";
  if (s.alike == 0) return "<p class=\"soft\">No two videos look nearly alike.</p>\n";
  constexpr size_t most = 6;
  std::string out = concat("<h3>", grouped_digits(s.alike), " videos look nearly like another one, in ",
                           grouped_digits(int64_t(s.alike_groups.size())), ' ', noun(s.alike_groups.size(), "group"),
                           "</h3>\n<div class=\"clips\">\n");
  size_t shown = 0;
  for (const auto& [number, group] : s.alike_groups) {
    if (++shown > most) break;
    for (const std::string& file : group.files)
      out += figure(s, file, concat("group ", number, ", of ", counted(group.videos, "video"), ": ") + escaped(file));
  }
  return out + "</div>\n<p class=\"soft\">All are named in near_duplicates.jsonl.</p>\n";
}

std::string quality(const DatasetSummary& s) {
  static const std::map<std::string, std::string> meanings{
      {"black", concat("at least ", 100 * black_from, " % of the pixels have a luma below ", dark_luma)},
      {"frozen",
       concat("at least ", 100 * frozen_from, " % of neighbouring frames differ by less than ", still_difference, " levels")},
      {"saturated", concat("at least ", 100 * saturated_from, " % of the pixels have two channels within ", clipped_margin,
                           " levels of their ends, and are not black")}};
  std::string out =
      "<table id=\"flags\"><tr><th>flag</th><th class=\"number\">videos</th><th class=\"number\">of all</th><th>when</th></tr>\n";
  for (const char* flag : quality_flags) {
    const auto found = s.with_flag.find(flag);
    const int64_t count = found == s.with_flag.end() ? 0 : found->second;
    out += "<tr>" + text_cell(flag) + number_cell(grouped_digits(count)) +
           number_cell(fixed(percent(double(count), double(s.done)), 2) + " %") + text_cell(meanings.at(flag)) + "</tr>\n";
  }
  out += "</table>\n<p class=\"soft\">What is not finite is no video: it is among the failures.</p>\n";
  if (!s.flagged_clips.empty()) out += "<h3>Some flagged videos</h3>\n" + clips_of(s, s.flagged_clips);
  return out + near_duplicates(s);
}

std::string settings(const DatasetSummary& s) {
  std::string out = "<table><tr><th>setting</th><th>value</th></tr>\n";
  for (const auto& [name, setting] : s.configuration.items())
    if (!setting.is_null() && setting != "" && !(setting.is_array() && setting.empty()))
      out += "<tr>" + text_cell(name) + text_cell(text_of(setting)) + "</tr>\n";
  return out + "</table>\n";
}

}  // namespace

std::string dataset_page(const DatasetSummary& s) {
  std::string out = heading(s) + cards(s);
  const auto section = [&](const char* title, const std::string& content) { out += concat("<h2>", title, "</h2>\n") + content; };
  if (s.done + s.failed > 0) section("Throughput", throughput(s));
  if (s.done > 0) {
    section("Seconds of each step", timing(s));
    section("Broadcast map", broadcast(s));
    section("Communication", communication(s));
    if (s.audit.audited()) section("Audit: what reuse has changed", audit_section(s));
  }
  section("Failures by class", failures(s));
  if (!s.nodes.empty()) section("Nodes, slowest first", nodes(s));
  if (s.done > 0) {
    section("Quality", quality(s));
    section(s.clips.size() < size_t(s.done) ? "Contact sheet: some of the videos" : "Contact sheet", clips_of(s, s.clips));
  }
  section("Settings", settings(s));
  return html_page({.title = "pyracast report", .style = dataset_style, .body = out});
}

}  // namespace pyracast
