#include "report/comparison_page.hpp"

#include <algorithm>
#include <cmath>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "report/html.hpp"
#include "report/line_chart.hpp"

namespace pyracast {

namespace {

// What this page has besides.
constexpr const char* comparison_style = R"css(
.clips { grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); }
.difference { position: relative; filter: brightness(4); isolation: isolate; border-radius: 6px; overflow: hidden; }
.difference video + video { position: absolute; inset: 0; mix-blend-mode: difference; }
)css";

// A pair's difference is drawn by laying one clip over the other.
constexpr const char* script = R"js(
for (const pair of document.querySelectorAll('.beside')) {
  const [a, b] = pair.querySelectorAll('video');
  const box = document.createElement('div'), cell = document.createElement('div'), label = document.createElement('span');
  box.className = 'difference';
  for (const source of [a, b]) {
    box.append(source.cloneNode(true));
  }
  label.textContent = 'difference × 4';
  cell.append(box, label);
  pair.append(cell);
}
)js";

std::string cards(const DatasetComparison& c) {
  const RunTotals &a = c.runs[0], &b = c.runs[1];
  std::string out = "<div class=\"cards\">\n";
  out += card(fixed(a.denoising_seconds / b.denoising_seconds, 2) + " ×", "speed-up of denoising");
  out += card(fixed(a.seconds / b.seconds, 2) + " ×", "speed-up of whole samples");
  out += card(fixed(c.psnr.mean(), 2) + " dB", "PSNR, mean");
  out += card(fixed(c.ssim.mean(), 4), "SSIM, mean");
  out +=
      card(c.lpips_backbone.empty() ? "–" : fixed(c.lpips.mean(), 4),
           c.lpips_backbone.empty() ? "LPIPS was not computed: give --lpips-backbone and --lpips-heads" : "LPIPS, mean (" + c.lpips_backbone + ")");
  const auto reused = [](const RunTotals& run) { return run.attentions ? 100 * double(run.attentions_reused) / double(run.attentions) : 0; };
  out += card(fixed(reused(a), 1) + " → " + fixed(reused(b), 1) + " %", "attention outputs reused");
  if (a.bytes_sent || b.bytes_sent)
    out += card(fixed(double(a.bytes_sent) / (1 << 20), 1) + " → " + fixed(double(b.bytes_sent) / (1 << 20), 1) + " MiB",
                "all-to-all, sent by the first rank of each team");
  return out + "</div>\n";
}

/// The steps of the samples of the number of evaluations that most have; none where the runs have different numbers.
const std::vector<StepSpread>& usual_steps(const DatasetComparison& c) {
  static const std::vector<StepSpread> none;
  const std::vector<StepSpread>* usual = &none;
  size_t most = 0;
  for (const auto& [number, steps] : c.steps)
    if (steps.front().seconds[0].count > most) usual = &steps, most = steps.front().seconds[0].count;
  return *usual;
}

/// Means over samples of what each step has.
LineChart step_chart(const std::vector<StepSpread>& steps, const std::string& title, const std::string& y_label,
                     const std::vector<std::pair<std::string, std::function<const Spread&(const StepSpread&)>>>& lines) {
  LineChart chart{.title = title, .x_label = "evaluation", .y_label = y_label, .width = 640, .height = 360};
  for (const auto& [name, spread_of] : lines) {
    ChartSeries series{name, {}, {}};
    for (size_t step = 0; step < steps.size(); ++step) {
      const Spread& spread = spread_of(steps[step]);
      if (spread.count == 0) continue;
      series.x.push_back(double(step + 1));
      series.y.push_back(spread.mean());
    }
    if (!series.x.empty()) chart.series.push_back(std::move(series));
  }
  return chart;
}

LineChart frame_chart(const DatasetComparison& c) {
  LineChart chart{.title = "Likeness along the video", .x_label = "frame", .y_label = "PSNR (dB)", .width = 640, .height = 360};
  ChartSeries mean{"mean of samples", {}, {}}, worst{"worst sample", {}, {}};
  for (size_t frame = 0; frame < c.frames.size(); ++frame) {
    mean.x.push_back(double(frame));
    worst.x.push_back(double(frame));
    mean.y.push_back(c.frames[frame].mean());
    worst.y.push_back(c.frames[frame].least);
  }
  if (!c.frames.empty()) chart.series = {mean, worst};
  return chart;
}

std::string charts(const DatasetComparison& c) {
  const auto seconds = [](int run) { return [run](const StepSpread& step) -> const Spread& { return step.seconds[run]; }; };
  const auto drift = [](const StepSpread& step) -> const Spread& { return step.drift; };
  const std::vector<StepSpread>& steps = usual_steps(c);
  std::vector<LineChart> all{step_chart(steps, "Seconds of each evaluation", "seconds", {{"first run", seconds(0)}, {"second run", seconds(1)}}),
                             step_chart(steps, "Drift of the latents", "RMS difference / RMS", {{"second run against the first", drift}}),
                             frame_chart(c)};
  std::string out = "<div class=\"charts\">\n";
  for (const LineChart& chart : all)
    if (!chart.series.empty()) out += line_chart_svg(chart) + "\n";
  out += "</div>\n";
  if (all[0].series.empty()) out += "<p class=\"soft\">The runs have different numbers of evaluations: steps are not shown side by side.</p>\n";
  else if (all[1].series.empty())
    out += "<p class=\"soft\">The drift of each step is shown where both runs were made with --save step-latents.</p>\n";
  return out;
}

std::string clip_pair(const SampleComparison& sample) {
  std::string out = "<figure><div class=\"beside\">\n";
  const char* const names[] = {"first run", "second run"};
  for (int run = 0; run < 2; ++run) try {   // a run's frames may be kept while its MP4 is gone
    out += clip(read_file(sample.video[run]), names[run]);
  } catch (const Error& error) {
    out += "<p class=\"soft\">" + escaped(error.what()) + "</p>\n";
  }
  return out + "</div><figcaption><b>" + escaped(sample.id) + "</b> " + escaped(shortened(sample.prompt, 300)) + "<br><span class=\"soft\">PSNR " +
         fixed(sample.mean_psnr, 2) + " dB, SSIM " + fixed(sample.mean_ssim, 4) + "</span></figcaption></figure>\n";
}

std::string settings_table(const DatasetComparison& c) {
  if (c.settings.empty()) return "<p class=\"soft\">No setting differs.</p>\n";
  std::string out = "<table><tr><th>setting</th><th>first run</th><th>second run</th></tr>\n";
  for (const auto& [name, here, there] : c.settings)
    out += "<tr><td>" + escaped(name) + "</td><td>" + escaped(here) + "</td><td>" + escaped(there) + "</td></tr>\n";
  return out + "</table>\n";
}

std::string sample_table(const DatasetComparison& c) {
  std::string out =
      "<table id=\"samples\"><tr><th>sample</th><th class=\"number\">PSNR (dB)</th><th class=\"number\">SSIM</th><th class=\"number\">LPIPS</th>"
      "<th class=\"number\">drift</th><th class=\"number\">denoising, first (s)</th><th class=\"number\">second (s)</th></tr>\n";
  for (const SampleComparison& s : c.worst)
    out += "<tr><td>" + escaped(s.id) + (s.sample ? concat(" (", s.sample, ')') : "") + "</td>" + number_cell(fixed(s.mean_psnr, 2)) +
           number_cell(fixed(s.mean_ssim, 4)) + number_cell(fixed(s.mean_lpips, 4)) + number_cell(fixed(s.latents_drift, 4)) +
           number_cell(fixed(s.denoising_seconds[0], 3)) + number_cell(fixed(s.denoising_seconds[1], 3)) + "</tr>\n";
  out += "</table>\n";
  if (c.compared > c.worst.size()) out += concat("<p class=\"soft\">", c.compared - c.worst.size(), " more, more alike, are in compare.json.</p>\n");
  return out;
}

/// Samples and shards that cannot be read, videos of two sizes.
std::string not_comparable(const DatasetComparison& c) {
  const FirstOfMany& all = c.not_comparable;
  if (all.count == 0) return "";
  std::string out = concat("<h2>Not compared: ", all.count, " that cannot be read or are of different sizes</h2>\n<ul id=\"not-comparable\">\n");
  for (const std::string& line : all.first) out += "<li>" + escaped(line) + "</li>\n";
  out += "</ul>\n";
  if (all.count > all.first.size()) out += concat("<p class=\"soft\">", all.count - all.first.size(), " more were only counted.</p>\n");
  return out;
}

std::string left_out(const DatasetComparison& c) {
  std::string out;
  for (int run = 0; run < 2; ++run) {
    const char* which = run == 0 ? "first" : "second";
    if (c.only_in[run].count) out += concat("<p class=\"soft\">", counted(c.only_in[run].count, "sample is", "samples are"), " only in the ", which,
        " run.</p>\n");
    if (c.failed[run].count) out += concat("<p class=\"soft\">", counted(c.failed[run].count, "sample"), " failed in the ", which, " run.</p>\n");
  }
  return out;
}

}  // namespace

std::string comparison_page(const DatasetComparison& c, size_t clips) {
  std::string out = "<h1>Two runs of one manifest</h1>\n";
  out += "<p class=\"soft\">first: " + escaped(c.runs[0].folder) + "<br>second: " + escaped(c.runs[1].folder) + "<br>" +
         concat(counted(c.compared, "sample"), "; ",
             c.pixels_kept ? "pixels as they were before encoding" : "pixels read from MP4 files, behind the codec's loss") + "</p>\n";
  out += (c.compared ? cards(c) : "") + left_out(c) + not_comparable(c);
  out += "<h2>Settings that differ</h2>\n" + settings_table(c);
  out += "<h2>Along the way</h2>\n" + charts(c);
  out += concat("<h2>Side by side, least alike first</h2>\n", play_together_button, "<div class=\"clips\">\n");
  for (size_t i = 0; i < std::min(clips, c.worst.size()); ++i) out += clip_pair(c.worst[i]);
  out += "</div>\n<h2>Samples, least alike first</h2>\n" + sample_table(c);
  return html_page({.title = "pyracast compare", .style = comparison_style, .body = out, .script = concat(script, play_together_script)});
}

}  // namespace pyracast
