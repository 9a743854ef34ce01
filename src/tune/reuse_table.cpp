#include "tune/reuse_table.hpp"

#include <algorithm>
#include <cassert>

namespace pyracast {

std::vector<SiteGroup> site_groups(int blocks, int parts) {
  assert(blocks > 0 && parts > 0);
  const int count = std::min(blocks, parts);
  std::vector<SiteGroup> groups;
  for (int branch = 0; branch < branch_count; ++branch)
    for (int part = 0; part < count; ++part) {
      SiteGroup& group = groups.emplace_back(SiteGroup{Branch(branch), {}});
      for (int block = blocks * part / count; block < blocks * (part + 1) / count; ++block) group.blocks.push_back(block);
    }
  return groups;
}

ReuseTable all_computed(size_t groups, int evaluations) { return ReuseTable(groups, std::vector<bool>(size_t(evaluations), false)); }

}  // namespace pyracast
