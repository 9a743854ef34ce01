#pragma once
#include "dataset/derive.hpp"

namespace pyracast {

/// What of a dataset's videos carries a quality flag, in a line for the end of a run.
std::string quality_line(const DatasetCounts& counts);

}  // namespace pyracast
