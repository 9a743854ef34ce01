#include "dataset/manifest_table.hpp"

namespace pyracast {

namespace {

using State = TableRecord::State;

/// Takes the quoted cell whose opening quote stands at text[at]; leaves `at` behind the closing one.
State take_quoted(std::string_view text, bool ended, size_t& at, std::string& cell) {
  for (size_t from = at + 1;;) {
    const size_t quote = text.find('"', from);
    if (quote == text.npos) return ended ? State::wrong : State::unfinished;
    if (quote + 1 == text.size() && !ended) return State::unfinished;  // one more quote may follow
    const bool doubled = quote + 1 < text.size() && text[quote + 1] == '"';
    cell.append(text, from, quote - from + doubled);
    from = quote + 2;
    if (!doubled) {
      at = quote + 1;
      return State::complete;
    }
  }
}

}  // namespace

TableRecord parse_record(std::string_view text, bool ended, char separator, std::vector<std::string>& cells) {
  const char ends[] = {separator, '\n', '\0'};
  size_t used = 0;
  for (size_t at = 0;; ++at) {
    if (used == cells.size()) cells.emplace_back();
    std::string& cell = cells[used++];
    cell.clear();
    const bool quoted = at < text.size() && text[at] == '"';
    if (quoted) {
      const State state = take_quoted(text, ended, at, cell);
      if (state == State::wrong) return {state, 0, "a quote that opens in this row is never closed"};
      if (state == State::unfinished) return {state};
    }
    const size_t end = text.find_first_of(ends, at);
    if (end == text.npos && !ended) return {State::unfinished};
    const bool last = end == text.npos || text[end] == '\n';
    std::string_view rest = text.substr(at, end - at);
    if (last && rest.ends_with('\r')) rest.remove_suffix(1);
    if (quoted && !rest.empty())
      return {State::wrong, 0, "text follows a closing quote (a quote inside a quoted cell is written twice)"};
    cell += rest;
    if (last) {
      cells.resize(used);
      return {State::complete, end == text.npos ? text.size() : end + 1};
    }
    at = end;
  }
}

}  // namespace pyracast
