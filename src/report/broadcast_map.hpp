#pragma once
#include "report/dataset_summary.hpp"

namespace pyracast {

/// What was computed and what was reused: an SVG element with a row a branch and a column an evaluation, the darker the more
/// blocks computed the branch there. It follows the colours of the page that holds it.
std::string broadcast_map_svg(const StepTotals& steps);

}  // namespace pyracast
