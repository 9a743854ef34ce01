#pragma once
#include "report/comparison.hpp"

namespace pyracast {

/// One HTML file with everything in it: figures, charts, and the two runs' clips side by side, the `clips` least alike ones
/// first. It asks for nothing from outside. Throws Error where a video cannot be read, of exit code 69 where gnuplot is
/// missing.
std::string comparison_page(const DatasetComparison& comparison, size_t clips);

}  // namespace pyracast
