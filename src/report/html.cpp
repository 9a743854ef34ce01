#include "report/html.hpp"

#include <algorithm>
#include <openssl/evp.h>

#include <cmath>
#include <cstdio>

#include "base/error.hpp"

namespace pyracast {

namespace {

// Colours follow the reader's choice of light or dark.
constexpr const char* common_style = R"css(
:root { --ground: #f6f7f9; --card: #ffffff; --ink: #1c2330; --soft: #5b6676; --line: #d9dee6; --mark: #2f6fde; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #12161d; --card: #1b212b; --ink: #e6eaf0; --soft: #9aa5b5; --line: #303947; --mark: #77a7ff; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 12px; }
.soft { color: var(--soft); } .number { text-align: right; font-variant-numeric: tabular-nums; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin-top: 20px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.card b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--line); font-size: 14px; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; } th.number { text-align: right; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 14px; }
.charts svg { width: 100%; height: auto; border-radius: 10px; }
.clips { display: grid; gap: 14px; }
.beside { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 8px; }
.beside video { width: 100%; display: block; border-radius: 6px; background: #000; image-rendering: pixelated; }
.beside span { font-size: 12px; color: var(--soft); }
.map { width: 100%; height: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px; }
.map text { font-size: 12px; fill: var(--soft); } .map .reused { fill: var(--line); } .map .computed { fill: var(--mark); }
.key i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin: 0 4px 0 12px; vertical-align: -1px; }
button { font: inherit; color: #fff; background: var(--mark); border: 0; border-radius: 8px; padding: 7px 14px; cursor: pointer; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px; }
figcaption { margin-top: 8px; font-size: 13px; }
)css";

}  // namespace

std::string html_page(const HtmlPage& page) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\"><link rel=\"icon\" href=\"data:,\"><title>" +
      escaped(page.title) + "</title><style>";
  out += common_style + page.style + "</style></head><body><main>\n" + page.body + "</main>";
  if (!page.script.empty()) out += "<script>" + page.script + "</script>";
  return out + "</body></html>\n";
}

std::string words(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

std::string text_of(const Json& json) { return json.is_string() ? json.get<std::string>() : json.dump(); }

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '"') out += "&quot;";
    else out += c;
  }
  return out;
}

std::string shortened(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  const auto goes_on = [&](size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80; };
  while (most > 0 && goes_on(most)) --most;
  return std::string(text.substr(0, most)) + "…";
}

std::string fixed(double value, int digits) {
  if (!std::isfinite(value)) return "–";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string fixed(const std::optional<double>& value, int digits) { return fixed(value.value_or(NAN), digits); }

std::string grouped_digits(int64_t value) {
  std::string text = std::to_string(value);
  for (size_t at = text.size(); at > (value < 0 ? 4u : 3u);) text.insert(at -= 3, "\u202f");   // a narrow space that breaks no line
  return text;
}

std::string in_bytes(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(units); bytes /= 1024) ++unit;
  return fixed(bytes, unit == 0 ? 0 : 1) + " " + units[unit];
}

std::string data_uri(std::string_view type, std::string_view bytes) {
  std::string base64(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  base64.resize(size_t(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()),
                                       reinterpret_cast<const unsigned char*>(bytes.data()), int(bytes.size()))));
  return "data:" + std::string(type) + ";base64," + base64;
}

std::string card(const std::string& value, const std::string& what) {
  return "<div class=\"card\"><b>" + value + "</b><span class=\"soft\">" + what + "</span></div>\n";
}

std::string clip(std::string_view mp4, const std::string& label) {
  return concat("<div><video autoplay muted loop playsinline preload=\"auto\" src=\"", data_uri("video/mp4", mp4), "\"></video><span>", label,
                "</span></div>\n");
}

std::string text_cell(std::string_view text) { return "<td>" + escaped(text) + "</td>"; }
std::string number_cell(std::string_view text) { return "<td class=\"number\">" + escaped(text) + "</td>"; }

}  // namespace pyracast
