#pragma once
#include <cstddef>
#include <functional>

namespace pyracast {

/// Called again and again in a step that may take minutes: so many of all were done; `all` is 0 where that is not known beforehand. `what`: a
/// noun, and what is done to it behind a blank ("shards read"). Empty: nobody listens.
using TellStep = std::function<void(const char* what, size_t done, size_t all)>;

}  // namespace pyracast
