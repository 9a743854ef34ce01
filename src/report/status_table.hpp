#pragma once
#include "base/json.hpp"
#include "dataset/dataset_status.hpp"

namespace pyracast {

/// A status for the terminal; `now` in seconds since 1970.
std::string status_table(const DatasetStatus& status, double now);
Json status_json(const DatasetStatus& status, double now);

}  // namespace pyracast
