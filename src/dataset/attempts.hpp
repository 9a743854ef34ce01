#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/json.hpp"

namespace pyracast {

/// Calls `each` with the number of every run of a dataset and what work/attempts.jsonl says of it, oldest first. A line that does not hold
/// that (it was cut, or changed) is left out, and `say` told where it stands; the others keep their numbers.
void for_each_attempt(const std::filesystem::path& output, const std::function<void(int64_t number, Json attempt)>& each,
                      const std::function<void(const std::string&)>& say);

}  // namespace pyracast
