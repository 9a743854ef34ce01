#include "dataset/prompt.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/config.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "dataset/manifest_text.hpp"

namespace pyracast {

namespace {

constexpr int longest_prompt = 1 << 20, longest_name = 1024;  // bytes
constexpr int largest_size = 1 << 14, most_frames = 1 << 20, most_samples = 1 << 20;

/// The columns of a manifest, each with its member and its limits: of a number's value, of a text's length in bytes.
/// Reading JSON and tables, writing and comparing all go through this list.
template <class Visit>
void for_each_column(Visit visit) {
  constexpr uint64_t largest_seed = std::numeric_limits<uint64_t>::max();
  visit("id", &Prompt::id, 1, longest_name);
  visit("prompt", &Prompt::text, 1, longest_prompt);
  visit("negative_prompt", &Prompt::negative_prompt, 0, longest_prompt);
  visit("seed", &Prompt::seed, 0, largest_seed);
  visit("samples", &Prompt::samples, 1, most_samples);
  visit("width", &Prompt::width, 1, largest_size);
  visit("height", &Prompt::height, 1, largest_size);
  visit("resolution", &Prompt::resolution, 1, longest_name);
  visit("aspect_ratio", &Prompt::aspect_ratio, 1, longest_name);
  visit("frames", &Prompt::frames, 1, most_frames);
  visit("seconds", &Prompt::seconds, 1e-3, 86400);
  visit("fps", &Prompt::fps, 1e-3, 1000);
  visit("steps", &Prompt::steps, 1, 10000);
  visit("guidance", &Prompt::guidance, 0, 1000);
  visit("aesthetic", &Prompt::aesthetic, -1000, 1000);
  visit("motion", &Prompt::motion, -1000, 1000);
  visit("camera", &Prompt::camera, 1, longest_name);
  visit("reference_path", &Prompt::reference_path, 1, longest_prompt);
  visit("mask_strategy", &Prompt::mask_strategy, 1, longest_name);
}

template <class T>
struct ValueOf {
  using type = T;
};
template <class T>
struct ValueOf<std::optional<T>> {
  using type = T;
};

/// A value as it stands in a message: JSON, cut where it is long. Made only where the message is printed.
struct Shown {
  const Json& value;

  friend std::ostream& operator<<(std::ostream& out, const Shown& shown) {
    const std::string text = shown.value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() <= 60) return out << text;
    return out << text.substr(0, valid_utf8_bytes(text.substr(0, 57))) << "...";
  }
};

void read(const Json& given, std::string_view column, size_t least, size_t most, std::string& value) {
  require(given.is_string(), column, " is ", Shown{given}, ", expected text");
  value = given.get<std::string>();
  require(value.size() >= least, column, " is empty");
  require(value.size() <= most, column, " has ", value.size(), " bytes, expected at most ", most);
  require(value.find('\0') == std::string::npos, column, " holds the character U+0000, which cannot be stored");
}

void read(const Json& given, std::string_view column, double least, double most, double& value) {
  require(given.is_number(), column, " is ", Shown{given}, ", expected a number from ", least, " to ", most);
  value = given.get<double>();
  require(std::isfinite(value) && value >= least && value <= most, column, " is ", Shown{given},
          ", expected a number from ", least, " to ", most);
}

/// A number without a fraction is whole however it is written: tables of numbers with gaps arrive as 51.0.
template <class Integer>
void read(const Json& given, std::string_view column, Integer least, Integer most, Integer& value) {
  const auto number = [&]() -> std::optional<uint64_t> {
    if (given.is_number_unsigned()) return given.get<uint64_t>();
    if (given.is_number_integer()) return given.get<int64_t>() < 0 ? std::nullopt : std::optional(given.get<uint64_t>());
    if (!given.is_number_float()) return std::nullopt;
    const double real = given.get<double>();
    constexpr double exact_below = 9007199254740992.0;  // 2^53
    if (!(real >= 0 && real < exact_below && real == std::floor(real))) return std::nullopt;
    return uint64_t(real);
  }();
  require(number && *number >= uint64_t(least) && *number <= uint64_t(most), column, " is ", Shown{given},
          ", expected a whole number from ", least, " to ", most);
  value = Integer(*number);
}

/// Sets the member of a column; null is absent.
void set(Prompt& prompt, std::string_view column, const Json& given) {
  for_each_column([&](std::string_view name, auto member, auto least, auto most) {
    if (name != column || given.is_null()) return;
    using Value = typename ValueOf<std::decay_t<decltype(prompt.*member)>>::type;
    using Limit = std::conditional_t<std::is_same_v<Value, std::string>, size_t, Value>;
    Value value{};
    read(given, name, Limit(least), Limit(most), value);
    prompt.*member = std::move(value);
  });
}

}  // namespace

void require_in_column(std::string_view name, const Json& value) {
  Prompt ignored;
  set(ignored, prompt_columns()[prompt_column(name)], value);
}

namespace {

/// The number a cell holds, or its text where it holds none: then the column's check says so.
Json number_or_text(const std::string& cell) {
  const char *begin = cell.data(), *end = begin + cell.size();
  uint64_t whole = 0;
  if (const auto [stop, error] = std::from_chars(begin, end, whole); error == std::errc() && stop == end) return whole;
  double real = 0;
  if (const auto [stop, error] = std::from_chars(begin, end, real); error == std::errc() && stop == end) return real;
  return cell;
}

bool is_text_column(size_t wanted) {
  static const std::vector<bool> is_text = [] {
    std::vector<bool> found;
    for_each_column([&](std::string_view, auto member, auto, auto) {
      found.push_back(std::is_same_v<typename ValueOf<std::decay_t<decltype(Prompt().*member)>>::type, std::string>);
    });
    return found;
  }();
  return is_text[wanted];
}

void write(std::string& line, const std::string& text) {
  const auto is_special = [](unsigned char letter) { return letter < 0x20 || letter == '"' || letter == '\\'; };
  line += '"';
  for (auto from = text.begin();;) {
    const auto at = std::find_if(from, text.end(), is_special);
    line.append(from, at);
    if (at == text.end()) break;
    const std::string escaped = Json(std::string(1, *at)).dump();
    line.append(escaped, 1, escaped.size() - 2);
    from = at + 1;
  }
  line += '"';
}

template <class Number>
void write(std::string& line, Number number) {
  char digits[32];
  line.append(digits, std::to_chars(digits, digits + sizeof(digits), number).ptr);
}

/// The wanted columns of a row as JSON. Building and printing a tree instead takes four times as long, a third of the
/// time of reading a manifest.
template <class Wanted>
std::string line_of(const Prompt& prompt, Wanted wanted) {
  std::string line = "{";
  for_each_column([&](std::string_view name, auto member, auto, auto) {
    const auto& value = prompt.*member;
    const auto add = [&](const auto& given) {
      line.append(line.size() > 1 ? ", \"" : "\"").append(name).append("\": ");
      write(line, given);
    };
    if (!wanted(name)) return;
    if constexpr (requires { value.has_value(); }) {
      if (value) add(*value);
    } else {
      add(value);
    }
  });
  return line + "}";
}

/// What no column can check alone; gives the row its id.
Prompt completed(Prompt prompt) {
  require(!prompt.text.empty(), "prompt is missing");
  require(prompt.width.has_value() == prompt.height.has_value(), prompt.width ? "width" : "height",
          " stands alone, expected both width and height");
  require(!prompt.width || !(prompt.resolution || prompt.aspect_ratio), "both width and height and ",
          prompt.resolution ? "resolution" : "aspect_ratio", " are given, expected one of the two ways to say a size");
  require(!prompt.frames || !prompt.seconds, "both frames and seconds are given, expected one of them");
  if (prompt.id.empty()) prompt.id = content_id(prompt);
  return prompt;
}

/// Takes one flat JSON object from nlohmann's parser; building no tree keeps a million rows in seconds.
class RowHandler : public Json::json_sax_t {
 public:
  bool null() override { return take(nullptr); }
  bool boolean(bool value) override { return take(value); }
  bool number_integer(int64_t value) override { return take(value); }
  bool number_unsigned(uint64_t value) override { return take(value); }
  bool number_float(double value, const std::string&) override { return take(value); }
  bool string(std::string& value) override { return take(std::move(value)); }
  bool binary(Json::binary_t&) override { fail("expected text, not binary JSON"); }
  bool start_object(size_t) override {
    require(!inside_, columns_[column_], " is an object, expected a single value");
    return inside_ = true;
  }
  bool key(std::string& name) override {
    column_ = prompt_column(name);
    require(!seen_[column_], "the key \"", name, "\" stands twice");
    return seen_[column_] = true;
  }
  bool end_object() override { return true; }
  bool start_array(size_t) override {
    require(inside_, "the line is a JSON array, expected an object such as {\"prompt\": \"...\"}");
    fail(columns_[column_], " is an array, expected a single value");
  }
  bool end_array() override { return true; }
  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: what; last read: '...'"
    std::string_view what = error.what();
    for (const std::string_view until : {"] ", ": "})
      if (const size_t end = what.find(until); end != what.npos) what.remove_prefix(end + until.size());
    fail("not valid JSON at byte ", position, ": ", what.substr(0, valid_utf8_bytes(what.substr(0, 200))));
  }

  Prompt prompt;

 private:
  bool take(Json value) {
    require(inside_, "the line is ", Shown{value}, ", expected an object such as {\"prompt\": \"...\"}");
    set(prompt, columns_[column_], value);
    return true;
  }

  const std::vector<std::string_view>& columns_ = prompt_columns();
  std::vector<bool> seen_ = std::vector<bool>(columns_.size());
  size_t column_ = 0;
  bool inside_ = false;
};

}  // namespace

const std::vector<std::string_view>& prompt_columns() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> found;
    for_each_column([&](std::string_view name, auto, auto, auto) { found.push_back(name); });
    return found;
  }();
  return names;
}

size_t prompt_column(std::string_view name) {
  const auto& known = prompt_columns();
  if (const auto found = std::find(known.begin(), known.end(), name); found != known.end())
    return size_t(found - known.begin());
  const std::string start(name.substr(0, valid_utf8_bytes(name.substr(0, 100))));
  std::string names;
  for (const std::string_view name : known) names += (names.empty() ? "" : ", ") + std::string(name);
  fail("unknown column \"", start, "\"; the nearest known one is \"", nearest_word(start, {known.begin(), known.end()}), "\" (all: ", names, ')');
}

Prompt prompt_from_json(std::string_view text) {
  RowHandler row;
  Json::sax_parse(text.begin(), text.end(), &row);
  return completed(std::move(row.prompt));
}

Prompt prompt_from_cells(const std::vector<size_t>& columns, const std::vector<std::string>& cells) {
  require(cells.size() == columns.size(), "the row has ", cells.size(), " cells, the header ", columns.size(),
          " (a text that holds the separator must stand in double quotes)");
  Prompt prompt;
  for (size_t i = 0; i < cells.size(); ++i)
    if (!cells[i].empty())
      set(prompt, prompt_columns()[columns[i]], is_text_column(columns[i]) ? Json(cells[i]) : number_or_text(cells[i]));
  return completed(std::move(prompt));
}

Prompt prompt_from_text(std::string_view text) {
  Prompt prompt;
  set(prompt, "prompt", Json(text));
  return completed(std::move(prompt));
}

std::string to_json_line(const Prompt& prompt) {
  return line_of(prompt, [](std::string_view) { return true; });
}

Json to_json(const Prompt& prompt) { return Json::parse(to_json_line(prompt)); }

std::string content_id(const Prompt& prompt) {
  return sha256(line_of(prompt, [](std::string_view name) { return name != "id" && name != "samples"; })).substr(0, 20);
}

std::string first_difference(const Prompt& there, const Prompt& here) {
  const Json a = to_json(there), b = to_json(here);
  const auto state = [](const Json& row, const std::string& name) {
    return row.contains(name) ? concat(Shown{row.at(name)}) : std::string("absent");
  };
  for (const std::string_view column : prompt_columns()) {
    const std::string name(column);
    if (a.contains(name) != b.contains(name) || (a.contains(name) && a.at(name) != b.at(name)))
      return concat(name, " is ", state(a, name), " there and ", state(b, name), " here");
  }
  return "";
}

}  // namespace pyracast
