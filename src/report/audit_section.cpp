#include "report/audit_section.hpp"

#include <algorithm>

#include "base/counted.hpp"
#include "report/html.hpp"
#include "report/line_chart.hpp"

namespace pyracast {

namespace {

/// The samples' PSNR, the worst first, and the bound where the settings have one.
LineChart drift_chart(const std::vector<AuditedSample>& samples, const Json& bound) {
  constexpr size_t most_points = 200;
  const double all = double(samples.size());
  ChartSeries psnr{"audited samples", {}, {}};
  for (size_t point = 0, points = std::min(most_points, samples.size()); point < points; ++point) {
    const size_t at = points == 1 ? 0 : point * (samples.size() - 1) / (points - 1);
    psnr.x.push_back(100 * double(at + 1) / all);
    psnr.y.push_back(samples[at].psnr);
  }
  LineChart chart{.title = "Likeness of the audited samples to those made without reuse", .x_label = "share of them that are no more alike (%)",
                  .y_label = "PSNR (dB)", .series = {psnr}, .width = 1080, .height = 320};
  if (bound.is_number()) chart.series.push_back({"bound", {psnr.x.front(), psnr.x.back()}, {bound.get<double>(), bound.get<double>()}});
  return chart;
}

const char* in_words(int64_t audit) {
  switch (SampleAudit(audit)) {
    case SampleAudit::beyond: return "beyond the bound";
    case SampleAudit::replaced: return "beyond the bound: kept as made without reuse";
    default: return "";
  }
}

}  // namespace

std::string audit_section(const DatasetSummary& s) {
  constexpr size_t most = 12;
  const std::vector<AuditedSample> samples = s.audit.worst_first();
  std::string out = "<p class=\"soft\">These samples were also made without reuse; their videos are those with reuse unless the table says "
                    "otherwise. Frames before encoding, latents of the last clip.</p>\n<div class=\"cards\">\n";
  out += card(grouped_digits(int64_t(s.audit.audited())), concat("audited of ", grouped_digits(s.done), ' ', noun(s.done, "video")));
  out += card(samples.empty() ? "–" : fixed(s.audit.median_psnr(), 2) + " dB", "PSNR, median");
  out += card(samples.empty() ? "–" : fixed(samples.front().psnr, 2) + " dB", "PSNR, worst");
  out += card(grouped_digits(int64_t(s.audit.beyond())), concat("beyond the bound, ", s.audit.replaced(), " of them kept as made without reuse"));
  out += card(fixed(100 * s.audit.share_of_time(), 2) + " %", "of all making went into audits");
  out += "</div>\n";
  if (s.audit.not_finite()) out += concat("<p class=\"soft\">", s.audit.not_finite(), " were not finite without reuse, and are not compared.</p>\n");
  if (samples.empty()) return out;
  out +=
      "<p></p><div class=\"charts wide\">\n" + line_chart_svg(drift_chart(samples, s.configuration.value("audit-bound", Json()))) + "</div>\n<p></p>";
  out += "<table id=\"audit\"><tr><th>least alike</th><th class=\"number\">PSNR (dB)</th><th class=\"number\">SSIM</th>"
         "<th class=\"number\">relative MSE of latents</th><th></th></tr>\n";
  for (size_t i = 0; i < std::min(most, samples.size()); ++i) {
    const AuditedSample& sample = samples[i];
    out += "<tr>" + text_cell(concat(sample.id, sample.sample ? concat(" (", sample.sample, ')') : "")) + number_cell(fixed(sample.psnr, 2)) +
           number_cell(fixed(sample.ssim, 4)) + number_cell(fixed(sample.mse, 5)) + text_cell(in_words(sample.audit)) + "</tr>\n";
  }
  return out + "</table>\n";
}

}  // namespace pyracast
