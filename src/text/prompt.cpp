#include "text/prompt.hpp"

#include <charconv>
#include <cstdio>

#include "base/json.hpp"
#include "text/clean.hpp"

namespace pyracast {

namespace {

std::string one_decimal(double number) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f", number);
  return text;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.emplace_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n\r\f\v");
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\n\r\f\v") - begin + 1);
}

template <class Number>
Number number_of(std::string_view text, const char* what, std::string_view whole) {
  Number number{};
  std::string_view digits = trimmed(text);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  require(error == std::errc() && end == digits.data() + digits.size(), "\"", whole, "\": ", what, " is \"", text,
          "\", expected a number");
  return number;
}

constexpr int64_t latents_per_chunk = 5, frames_per_chunk = 17;

}  // namespace

std::string decorate(std::string text, const PromptHints& hints) {
  const std::string typed = text;
  const auto append = [&](const char* marker, const std::string& value) {
    if (typed.find(marker) == std::string::npos) text += concat(' ', marker, ' ', value, '.');
  };
  if (hints.aesthetic) append("aesthetic score:", one_decimal(*hints.aesthetic));
  if (hints.motion) append("motion score:", one_decimal(*hints.motion));
  if (hints.camera) append("camera motion:", *hints.camera);
  return text;
}

PromptSegments split_segments(const std::string& prompt) {
  if (!prompt.starts_with("|0|")) return {{prompt}, {}};
  std::vector<std::string> parts = split(prompt, '|');
  parts.erase(parts.begin());
  PromptSegments segments;
  for (size_t i = 0; i < parts.size(); i += 2) {
    segments.starts.push_back(number_of<int64_t>(parts[i], "a segment's first loop", prompt));
    require(i + 1 < parts.size(), "\"", prompt, "\": segment |", parts[i], "| has no text behind it");
    segments.texts.emplace_back(trimmed(parts[i + 1]));
  }
  return segments;
}

std::string merge_segments(const PromptSegments& segments) {
  if (segments.starts.empty()) return segments.texts.at(0);
  std::string merged;
  for (size_t i = 0; i < segments.texts.size(); ++i) merged += concat('|', segments.starts[i], '|', segments.texts[i]);
  return merged;
}

std::string text_of_loop(const std::string& merged, int64_t loop) {
  const PromptSegments segments = split_segments(merged);
  if (segments.starts.empty()) return merged;
  // Each segment fills the loops up to the next one's start, in the order in which they are written.
  int64_t filled = 0;
  for (size_t i = 0; i < segments.texts.size(); ++i) {
    const int64_t end = i + 1 < segments.starts.size() ? segments.starts[i + 1] : loop + 1;
    filled += std::max<int64_t>(0, end - segments.starts[i]);
    if (loop < filled) return segments.texts[i];
  }
  fail("\"", merged, "\": no segment gives loop ", loop, " a text (starts must rise from |0|)");
}

PromptOptions split_options(const std::string& prompt) {
  const size_t brace = prompt.find('{');
  if (brace == std::string::npos) return {prompt, "", ""};
  require(prompt.find('{', brace + 1) == std::string::npos, "\"", prompt, "\": at most one {…} may stand in a prompt");
  PromptOptions options{prompt.substr(0, brace), "", ""};
  Json json;
  try {
    json = Json::parse(prompt.substr(brace));
  } catch (const Json::exception&) {
    fail("\"", prompt, "\": what stands behind { is not JSON");
  }
  for (const auto& [key, item] : json.items()) {
    require((key == "reference_path" || key == "mask_strategy") && item.is_string(), "\"", prompt, "\": the option ", key,
            " is not known (expected \"reference_path\" or \"mask_strategy\", each a text)");
    (key == "reference_path" ? options.reference : options.mask_strategy) = item.get<std::string>();
  }
  return options;
}

std::vector<MaskStrategyRow> parse_mask_strategy(std::string_view text) {
  std::vector<MaskStrategyRow> rows;
  if (text.empty()) return rows;
  for (const std::string& group : split(text, ';')) {
    const std::vector<std::string> fields = split(group, ',');
    require(fields.size() <= 6, "mask strategy \"", text, "\": \"", group, "\" has ", fields.size(), " fields, expected at most 6");
    MaskStrategyRow row;
    int64_t* const integers[] = {&row.loop, &row.reference, &row.reference_start, &row.target_start, &row.length};
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i < 5) *integers[i] = number_of<int64_t>(fields[i], "a field", text);
      else row.edit_ratio = number_of<double>(fields[i], "the edit ratio", text);
    }
    rows.push_back(row);
  }
  return rows;
}

References references_of(const std::string& prompt, const std::string& reference_path, const std::string& mask_strategy, int clips) {
  const PromptOptions own = split_options(prompt);
  const std::string& path = reference_path.empty() ? own.reference : reference_path;
  const std::string& strategy = mask_strategy.empty() ? own.mask_strategy : mask_strategy;
  References found{path.empty() ? std::vector<std::string>() : split(path, ';'), parse_mask_strategy(strategy)};
  require(found.files.empty() || !found.rows.empty(), "reference_path is \"", path, "\", but no mask_strategy says which of its frames go where: "
          "give one, \"0\" for a video that begins with the first reference's first frame");
  std::vector<bool> is_named(found.files.size());
  for (const MaskStrategyRow& row : found.rows) {
    require(row.reference >= 0 && row.reference < int64_t(found.files.size()), "mask_strategy \"", strategy, "\" names reference ", row.reference,
            " (counted from 0), but reference_path has ", found.files.size());
    require(row.loop >= 0 && row.loop < clips, "mask_strategy \"", strategy, "\" is about clip ", row.loop, " (counted from 0), but the video has ",
            clips);
    constexpr int64_t most = 1'000'000;   // latent frames; far from where sums of such numbers overflow
    for (const int64_t number : {row.reference_start, row.target_start, row.length})
      require(-most <= number && number <= most, "mask_strategy \"", strategy, "\" names latent frame ", number, ", expected at most ", most);
    require(row.length > 0, "mask_strategy \"", strategy, "\" copies ", row.length, " latent frames, expected 1 or more");
    require(row.edit_ratio >= 0 && row.edit_ratio <= 1, "mask_strategy \"", strategy, "\" has an edit ratio of ", row.edit_ratio,
            ", expected 0 to 1");
    is_named[size_t(row.reference)] = true;
  }
  for (size_t i = 0; i < found.files.size(); ++i) {
    require(!found.files[i].empty(), "reference_path is \"", path, "\": the name of reference ", i, " is empty");
    require(is_named[i], "mask_strategy \"", strategy, "\" takes nothing from reference ", i, ", ", found.files[i], ": leave that out");
  }
  return found;
}

int64_t find_nearest_point(int64_t value, int64_t point, int64_t max_value) {
  const auto floor_divide = [](int64_t a, int64_t b) { return a / b - (a % b < 0); };
  int64_t multiple = floor_divide(value, point);
  if (2 * (value - multiple * point) > point && multiple < floor_divide(max_value, point) - 1) ++multiple;
  return multiple * point;
}

int64_t dframe_to_frame(int64_t latents) {
  require(latents % latents_per_chunk == 0, latents, " latent frames: a multiple of ", latents_per_chunk, " is needed");
  return latents / latents_per_chunk * frames_per_chunk;
}

std::vector<std::string> texts_per_clip(const std::string& prompt, const PromptHints& hints, int clips) {
  const PromptOptions options = split_options(prompt);
  PromptSegments segments = split_segments(options.prompt);
  for (std::string& text : segments.texts) text = clean(decorate(text, hints));
  const std::string merged = merge_segments(segments);
  std::vector<std::string> texts;
  for (int clip = 0; clip < clips; ++clip) texts.push_back(text_of_loop(merged, clip));
  return texts;
}

}  // namespace pyracast
