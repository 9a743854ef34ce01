#pragma once
#include "base/json.hpp"
#include "tune/reuse_table.hpp"

namespace pyracast {

/// A reuse table as the file that BroadcastPolicy reads: {"steps", "reuse": [{"branch", "evaluations", "blocks"}]}. Groups of a
/// branch that reuse the same evaluations share an entry; "blocks" is left out where it is all of the network's, and of guidance's half.
Json schedule_json(const ReuseTable& table, const std::vector<SiteGroup>& groups, int blocks);

}  // namespace pyracast
