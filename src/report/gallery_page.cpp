#include "report/gallery_page.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/counted.hpp"
#include "report/broadcast_map.hpp"
#include "report/html.hpp"

namespace pyracast {

namespace {

/// Sums over samples of each evaluation, as means, one line a way; nothing where it is 0 in all.
template <class Value>
std::string chart_of_ways(const Gallery& g, const std::string& title, const std::string& y_label, Value value) {
  LineChart chart{.title = title, .x_label = "evaluation", .y_label = y_label, .from_zero = true, .series = {}, .width = 1080, .height = 340};
  double most = 0;
  for (const GalleryWay& way : g.ways) {
    ChartSeries series{way.name, {}, {}};
    for (size_t e = 0; e < way.steps.seconds.size(); ++e) {
      series.x.push_back(double(e + 1));
      series.y.push_back(value(way.steps, e) / double(way.steps.samples));
      most = std::max(most, series.y.back());
    }
    chart.series.push_back(std::move(series));
  }
  return most > 0 ? "<div class=\"charts wide\">\n" + line_chart_svg(chart) + "</div>\n" : "";
}

double seconds_of(const StepTotals& steps, size_t evaluation) {
  return std::accumulate(steps.seconds[evaluation].begin(), steps.seconds[evaluation].end(), 0.0);
}

std::string drift_words(const std::optional<VideoDrift>& drift) {
  if (!drift) return "–";
  return "PSNR " + fixed(drift->mean_psnr, 2) + " dB, SSIM " + fixed(drift->mean_ssim, 4);
}

std::string clips_of(const Gallery& g) {
  std::string out = concat(play_together_button, "<div class=\"clips\">\n");
  for (const GalleryClip& made : g.clips) {
    out += "<figure><div class=\"beside\">\n";
    for (size_t way = 0; way < g.ways.size(); ++way)
      out += clip(made.mp4[way], "<b>" + escaped(g.ways[way].name) + "</b><br>" + (way == 0 ? "the reference" : drift_words(made.drift[way])));
    out += "</div><figcaption><b>" + escaped(made.id) + "</b> " + escaped(shortened(made.prompt, 300)) + "</figcaption></figure>\n";
  }
  return out + "</div>\n";
}

std::string ways_table(const Gallery& g) {
  std::string out =
      "<table id=\"ways\"><tr><th>way</th><th class=\"number\">branch outputs computed</th><th class=\"number\">denoising a clip (s)</th>"
      "<th class=\"number\">speed-up</th><th class=\"number\">sent a clip</th><th class=\"number\">PSNR (dB)</th><th "
      "class=\"number\">SSIM</th></tr>\n";
  for (size_t i = 0; i < g.ways.size(); ++i) {
    const GalleryWay& way = g.ways[i];
    out += "<tr><td><b>" + escaped(way.name) + "</b><br><span class=\"soft\">" + escaped(way.explanation) + "</span></td>" +
           number_cell(fixed(100 * way.computed_share(), 1) + " %") + number_cell(fixed(way.median_seconds(), 3)) +
           number_cell(fixed(g.ways[0].median_seconds() / way.median_seconds(), 2) + " ×") +
           number_cell(g.ranks > 1 ? in_bytes(double(way.bytes_sent()) / double(way.steps.samples)) : "–") +
           number_cell(i ? fixed(g.mean_psnr(i), 2) : "–") + number_cell(i ? fixed(g.mean_ssim(i), 4) : "–") + "</tr>\n";
  }
  out += "</table>\n<p class=\"soft\">Seconds: the median over the clips, of denoising, on the first rank. Sent: the all-to-alls of the first rank";
  return out + (g.ranks > 1 ? concat(" of ", g.ranks, " that make each video together.</p>\n")
                            : "; one rank sends nothing (mpirun -n 2 shows what a team sends).</p>\n");
}

std::string cards(const Gallery& g) {
  std::string out = "<div class=\"cards\">\n";
  const GalleryWay& all = g.ways[0];
  for (size_t i = 1; i < g.ways.size(); ++i) {
    const GalleryWay& way = g.ways[i];
    out += card(fixed(100 * (1 - way.median_seconds() / all.median_seconds()), 0) + " %", "of the time saved by " + escaped(way.name));
    if (all.bytes_sent() > 0)
      out += card(fixed(100 * (1 - double(way.bytes_sent()) / double(all.bytes_sent())), 0) + " %",
                  "of the communication saved by " + escaped(way.name));
    out += card(fixed(g.mean_psnr(i), 2) + " dB", "PSNR, mean, of " + escaped(way.name));
  }
  return out + "</div>\n";
}

}  // namespace

double GalleryWay::median_seconds() const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  return (sorted.at(sorted.size() / 2) + sorted.at((sorted.size() - 1) / 2)) / 2;
}

double GalleryWay::computed_share() const {
  double made = 0, all = 0;
  for (const auto& evaluation : steps.computed)
    for (size_t branch = 0; branch < size_t(branch_count); ++branch)
      made += double(evaluation[branch]), all += double(steps.computed.front()[branch]);
  return made / all;
}

int64_t GalleryWay::bytes_sent() const { return std::accumulate(steps.bytes_sent.begin(), steps.bytes_sent.end(), int64_t(0)); }

double Gallery::mean_psnr(size_t way) const {
  double sum = 0;
  for (const GalleryClip& clip : clips) sum += clip.drift.at(way)->mean_psnr;
  return sum / double(clips.size());
}

std::optional<double> Gallery::mean_ssim(size_t way) const {
  double sum = 0;
  for (const GalleryClip& clip : clips) {
    if (!clip.drift.at(way)->mean_ssim) return std::nullopt;
    sum += *clip.drift.at(way)->mean_ssim;
  }
  return sum / double(clips.size());
}

std::string gallery_page(const Gallery& g) {
  LineChart curves = profile_chart(g.profile);
  curves.width = 1080, curves.height = 420;
  std::string out = "<h1>The same videos, with less computed</h1>\n<p class=\"soft\">" + escaped(g.model) + ": " + escaped(g.size) + ", " +
                    counted(g.clips.size(), "prompt") +
                    ". A diffusion model makes a video by evaluating a network again and again on the same tokens, and what its attentions give "
                    "changes little from one evaluation to the next. Where it changes least, an output is kept and reused instead of computed "
                    "(Pyramid Attention Broadcast), and on several ranks its exchange of tokens falls away as well.</p>\n";
  out += cards(g);
  out += "<h2>Side by side</h2>\n" + clips_of(g);
  out += "<h2>What each way costs and changes</h2>\n" + ways_table(g) + "<p></p>";
  out += chart_of_ways(g, "Seconds of each evaluation, mean over clips", "seconds", seconds_of);
  out += chart_of_ways(g, "All-to-all of each evaluation, mean over clips", "KiB sent by the first rank",
                       [](const StepTotals& steps, size_t e) { return double(steps.bytes_sent[e]) / 1024; });
  out += "<h2>How much outputs change: the U-curves</h2>\n<p class=\"soft\">With nothing reused, how much each branch's output differs from the one "
         "an evaluation earlier. Where a curve is low, reuse costs little.</p>\n<div class=\"charts wide\">\n" + line_chart_svg(curves) + "</div>\n";
  out += concat("<h2>What was computed and what reused</h2>\n", broadcast_map_key, "</p>\n");
  for (size_t i = 1; i < g.ways.size(); ++i) out += "<h3>" + escaped(g.ways[i].name) + "</h3>\n" + broadcast_map_svg(g.ways[i].steps) + "\n";
  return html_page({.title = "pyracast gallery", .style = ".wide { grid-template-columns: 1fr; } h3 { font-size: 15px; margin: 22px 0 10px; }",
                    .body = out, .script = play_together_script});
}

Json gallery_json(const Gallery& g) {
  Json json{{"model", g.model}, {"size", g.size}, {"ranks", g.ranks}, {"ways", Json::array()}, {"clips", Json::array()}};
  for (size_t i = 0; i < g.ways.size(); ++i) {
    const GalleryWay& way = g.ways[i];
    json["ways"].push_back({{"name", way.name},
                            {"computed_share", way.computed_share()},
                            {"seconds", way.seconds},
                            {"median_seconds", way.median_seconds()},
                            {"bytes_sent", way.bytes_sent()},
                            {"mean_psnr", i ? Json(g.mean_psnr(i)) : Json()},
                            {"mean_ssim", i && g.mean_ssim(i) ? Json(*g.mean_ssim(i)) : Json()}});
  }
  for (const GalleryClip& clip : g.clips) {
    Json drifts = Json::array();
    for (size_t way = 1; way < g.ways.size(); ++way)
      drifts.push_back({{"psnr", clip.drift[way]->mean_psnr}, {"ssim", clip.drift[way]->mean_ssim ? Json(*clip.drift[way]->mean_ssim) : Json()}});
    json["clips"].push_back({{"id", clip.id}, {"prompt", clip.prompt}, {"against_the_first_way", drifts}});
  }
  return json;
}

std::string gallery_table(const Gallery& g) {
  size_t width = 3;
  for (const GalleryWay& way : g.ways) width = std::max(width, way.name.size());
  std::string out = "way" + std::string(width - 3, ' ') + "   computed  s a clip  speed-up   KiB sent   PSNR (dB)    SSIM\n";
  for (size_t i = 0; i < g.ways.size(); ++i) {
    const GalleryWay& way = g.ways[i];
    char line[256];
    std::snprintf(line, sizeof line, "  %7.1f %%  %8.3f  %8.2f  %9.1f  %10s  %6s\n", 100 * way.computed_share(), way.median_seconds(),
                  g.ways[0].median_seconds() / way.median_seconds(), double(way.bytes_sent()) / double(way.steps.samples) / 1024,
                  i ? fixed(g.mean_psnr(i), 2).c_str() : "-", i ? fixed(g.mean_ssim(i), 4).c_str() : "-");
    out += way.name + std::string(width - way.name.size(), ' ') + line;
  }
  return out;
}

}  // namespace pyracast
