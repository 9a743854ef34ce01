#pragma once
#include "report/dataset_summary.hpp"

namespace pyracast {

/// What audits have found, as HTML, of a dataset that has audited samples: figures, a chart, the worst samples.
std::string audit_section(const DatasetSummary& summary);

}  // namespace pyracast
