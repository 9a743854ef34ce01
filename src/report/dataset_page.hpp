#pragma once
#include "report/dataset_summary.hpp"

namespace pyracast {

/// One HTML file that shows how a dataset was made and what is in it, with pictures of its chosen clips read from the MP4
/// files. It asks for nothing from outside. A video that cannot be read is told in its place. Throws Error of exit code 69
/// where gnuplot is missing.
std::string dataset_page(const DatasetSummary& summary);

}  // namespace pyracast
