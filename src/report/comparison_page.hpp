#pragma once
#include "report/comparison.hpp"

namespace pyracast {

/// One HTML file with everything in it: figures, charts, what could not be compared, and the two runs' clips side by side, the `clips` least
/// alike ones first, of those that the comparison keeps. It asks for nothing from outside. Throws Error of exit code 69 where gnuplot is missing.
std::string comparison_page(const DatasetComparison& comparison, size_t clips);

}  // namespace pyracast
