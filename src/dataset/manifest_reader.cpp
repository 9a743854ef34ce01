#include "dataset/manifest_reader.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/error.hpp"
#include "dataset/manifest_table.hpp"

namespace pyracast {

namespace {

constexpr size_t longest_row = 8 << 20;  // bytes; two texts of the greatest length, every letter escaped, fit
constexpr size_t header_window = 64 << 10;

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

void require_whole(std::string_view row) {
  require(row.size() < longest_row, "the row is longer than ", longest_row, " bytes");
  const size_t valid = valid_utf8_bytes(row);
  require(valid == row.size(), "not valid UTF-8 at byte ", valid + 1);
}

/// The format that a file's name tells.
std::optional<ManifestFormat> format_of_name(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  if (name.ends_with(".jsonl") || name.ends_with(".ndjson")) return ManifestFormat::jsonl;
  if (name.ends_with(".csv")) return ManifestFormat::csv;
  if (name.ends_with(".tsv")) return ManifestFormat::tsv;
  if (name.ends_with(".txt")) return ManifestFormat::text;
  return std::nullopt;
}

bool is_header(std::string_view first_line, char separator) {
  std::vector<std::string> cells;
  if (parse_record(first_line, true, separator, cells).state != TableRecord::State::complete) return false;
  const auto& known = prompt_columns();
  const auto count = std::count_if(cells.begin(), cells.end(), [&](const std::string& cell) {
    return std::find(known.begin(), known.end(), cell) != known.end();
  });
  return count >= 2 || std::find(cells.begin(), cells.end(), "prompt") != cells.end();
}

/// Whether a file begins as one value of JSON does that holds others, over as many lines as it likes.
bool begins_as_array(std::string_view start) {
  const auto first = start.find_first_not_of(" \t\r\n");
  if (first == start.npos || start[first] != '[') return false;
  const auto second = start.find_first_not_of(" \t\r\n", first + 1);
  return second != start.npos && (start[second] == '{' || start[second] == '"' || start[second] == ']');
}

/// The format that a file's content tells. Only what its name says may be text, or has no ending that says otherwise, is taken as that: any
/// other file would become prompts, a line each.
ManifestFormat format_of_content(std::string_view first_line, const std::string& name) {
  if (const size_t start = first_line.find_first_not_of(" \t"); start != first_line.npos && first_line[start] == '{')
    return ManifestFormat::jsonl;
  if (is_header(first_line, '\t')) return ManifestFormat::tsv;
  if (is_header(first_line, ',')) return ManifestFormat::csv;
  const std::string ending = std::filesystem::path(name).extension();
  require(ending.empty() || ending == ".gz", name, ": holds neither JSON objects nor a table with a header, and \"", ending,
          "\" tells no other format, expected .jsonl, .csv, .tsv, or .txt for a prompt a line");
  return ManifestFormat::text;
}

}  // namespace

ManifestReader::ManifestReader(ByteSource source, std::string name)
    : window_(std::move(source)), name_(std::move(name)) {
  const std::string_view start = window_.ahead(3);
  require(!start.starts_with("\xFF\xFE") && !start.starts_with("\xFE\xFF"), name_,
          ": is UTF-16, expected UTF-8; convert it with iconv -f UTF-16 -t UTF-8");
  if (start.starts_with("\xEF\xBB\xBF")) window_.skip(3);
  while (!window_.ahead(1).empty() && is_blank(window_.line(header_window))) window_.skip_line();

  const auto told = format_of_name(name_);
  constexpr size_t beginning = 4096;
  require((told && *told != ManifestFormat::jsonl) || !begins_as_array(window_.ahead(beginning).substr(0, beginning)), name_,
          ": is one JSON array, expected an object a line; make it so with jq -c '.[]'");
  format_ = told ? *told : format_of_content(window_.line(header_window), name_);
  const std::string_view first = window_.line(header_window);
  require(format_ == ManifestFormat::jsonl || without_return(first).find('\r') == first.npos, name_,
          ": its lines end in CR alone, expected LF or CR LF; convert it with tr '\\r' '\\n'");
  if (format_ == ManifestFormat::csv) read_header(',');
  if (format_ == ManifestFormat::tsv) read_header('\t');
}

void ManifestReader::read_header(char separator) {
  const std::string_view line = window_.line(header_window);
  const std::string where = concat(name_, ": line ", window_.line_number(), " (the header): ");
  require(!line.empty(), name_, ": is empty, expected a header with the column \"prompt\"");
  require(valid_utf8_bytes(line) == line.size(), where, "is not valid UTF-8");
  const TableRecord record = parse_record(line, true, separator, cells_);
  require(record.state == TableRecord::State::complete, where, record.reason);
  for (const std::string& cell : cells_) {
    try {
      columns_.push_back(prompt_column(cell));
    } catch (const Error& error) {
      fail(where, error.what());
    }
    require(std::count(columns_.begin(), columns_.end(), columns_.back()) == 1, where, "the column \"", cell,
            "\" stands twice");
  }
  require(std::count(columns_.begin(), columns_.end(), prompt_column("prompt")) == 1, where,
          "has no column \"prompt\"");
  window_.skip_line();
}

std::optional<ManifestRow> ManifestReader::next() {
  if (std::exchange(rest_of_line_, false)) window_.skip_line();
  while (!window_.ahead(1).empty() && is_blank(window_.line(longest_row))) window_.skip_line();
  if (window_.ahead(1).empty()) return std::nullopt;
  const bool table = format_ == ManifestFormat::csv || format_ == ManifestFormat::tsv;
  return table ? next_record() : next_line();
}

// In both functions the window is moved on without being asked for more, so that the row's text stays valid.
ManifestRow ManifestReader::next_line() {
  ManifestRow row;
  row.line = window_.line_number();
  const std::string_view line = window_.line(longest_row);
  row.text = without_return(line);
  try {
    require_whole(line);
    row.prompt = format_ == ManifestFormat::jsonl ? prompt_from_json(row.text) : prompt_from_text(row.text);
  } catch (const Error& error) {
    row.reason = error.what();
  }
  window_.skip(line.size());
  rest_of_line_ = true;
  return row;
}

ManifestRow ManifestReader::next_record() {
  const char separator = format_ == ManifestFormat::csv ? ',' : '\t';
  ManifestRow row;
  row.line = window_.line_number();
  TableRecord record{TableRecord::State::unfinished};
  std::string_view seen;
  for (size_t wanted = 1; record.state == TableRecord::State::unfinished && wanted <= longest_row;) {
    seen = window_.ahead(wanted);
    record = parse_record(seen, seen.size() < wanted, separator, cells_);
    wanted = seen.size() + 1;
  }
  if (record.state != TableRecord::State::complete) {
    row.reason = record.state == TableRecord::State::wrong
                     ? record.reason
                     : concat("the row is longer than ", longest_row, " bytes; is a quote not closed?");
    const std::string_view line = seen.substr(0, seen.find('\n'));
    row.text = without_return(line);
    window_.skip(line.size());
    rest_of_line_ = true;
    return row;
  }
  const std::string_view text = seen.substr(0, record.length);
  row.text = without_return(text.ends_with('\n') ? text.substr(0, text.size() - 1) : text);
  try {
    require_whole(row.text);
    row.prompt = prompt_from_cells(columns_, cells_);
  } catch (const Error& error) {
    row.reason = error.what();
  }
  window_.skip(record.length);
  return row;
}

}  // namespace pyracast
