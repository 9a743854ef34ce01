#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace pyracast {

/// What parsing a record of a table came to.
struct TableRecord {
  enum class State { complete, unfinished, wrong } state;
  size_t length = 0;        ///< bytes up to and with the line break; complete only
  const char* reason = "";  ///< wrong only
};

/// Takes one RFC 4180 record from the start of `text` into `cells`. `ended`: nothing follows `text`. Quotes inside a
/// cell that does not begin with one are letters; a quoted cell may hold separators, line breaks and doubled quotes.
TableRecord parse_record(std::string_view text, bool ended, char separator, std::vector<std::string>& cells);

}  // namespace pyracast
