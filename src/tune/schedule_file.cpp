#include "tune/schedule_file.hpp"

#include <algorithm>
#include <map>

#include "pab/broadcast_policy.hpp"

namespace pyracast {

Json schedule_json(const ReuseTable& table, const std::vector<SiteGroup>& groups, int blocks) {
  std::map<std::pair<std::optional<Branch>, std::vector<int>>, std::vector<int>> entries;   // (branch, evaluations) -> blocks
  for (size_t g = 0; g < groups.size(); ++g) {
    std::vector<int> evaluations;
    for (size_t e = 0; e < table[g].size(); ++e)
      if (table[g][e]) evaluations.push_back(int(e));
    if (evaluations.empty()) continue;
    if (groups[g].is_half()) entries[{std::nullopt, evaluations}];
    for (const Branch branch : groups[g].branches) {
      std::vector<int>& listed = entries[{branch, evaluations}];
      listed.insert(listed.end(), groups[g].blocks.begin(), groups[g].blocks.end());
    }
  }
  Json reuse = Json::array();
  for (auto& [what, listed] : entries) {
    std::sort(listed.begin(), listed.end());
    Json entry{{"branch", what.first ? name_of(*what.first) : unconditional_half_name}, {"evaluations", what.second}};
    if (what.first && int(listed.size()) < blocks) entry["blocks"] = listed;
    reuse.push_back(std::move(entry));
  }
  return {{"steps", table.empty() ? 0 : table.front().size()}, {"reuse", std::move(reuse)}};
}

}  // namespace pyracast
