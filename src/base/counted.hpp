#pragma once
// Counts in messages and pages.
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace pyracast {

/// The form that stands behind `count`: `one`, or `more`, by default with an s: noun(2, "sample"), noun(2, "entry", "entries"), and with
/// its verb noun(2, "sample is", "samples are").
template <class Count>
std::string noun(Count count, std::string_view one, std::string_view more = {}) {
  return count == Count(1) ? std::string(one) : more.empty() ? concat(one, 's') : std::string(more);
}

/// "1 sample", "2 samples"; otherwise as noun().
template <class Count>
std::string counted(Count count, std::string_view one, std::string_view more = {}) {
  return concat(count, ' ', noun(count, one, more));
}

}  // namespace pyracast
