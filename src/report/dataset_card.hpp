#pragma once
#include "report/dataset_summary.hpp"

namespace pyracast {

/// The dataset's card as Hugging Face shows them, README.md: a YAML head, then what it is and how it was made. Its second
/// part begins with card_mark.
std::string dataset_card(const DatasetSummary& summary);

/// A README.md with this line was made by dataset_card() and may be made anew; without it, it is the user's.
inline constexpr const char* card_mark = "<!-- Written by pyracast report, which replaces this file as long as this line is in it. -->";

}  // namespace pyracast
