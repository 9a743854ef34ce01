#include "production/quality_line.hpp"

#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"

namespace pyracast {

std::string quality_line(const DatasetCounts& counts) {
  std::string line = concat("quality: ", counts.flagged, " of ", counted(counts.done, "video"), " flagged");
  const char* before = " (";
  for (size_t i = 0; i < quality_flags.size(); ++i)
    if (counts.with_flag[i]) line += concat(std::exchange(before, ", "), counts.with_flag[i], ' ', quality_flags[i]);
  if (counts.flagged) line += ')';
  line += concat(", ", counted(counts.near_duplicates, "looks", "look"), " nearly alike");
  if (counts.near_duplicates)
    line += concat(" (", counted(counts.near_duplicate_groups, "group"), ')');
  return line;
}

}  // namespace pyracast
