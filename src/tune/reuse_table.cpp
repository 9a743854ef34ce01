#include "tune/reuse_table.hpp"

#include <algorithm>
#include <cassert>
#include <set>

namespace pyracast {

namespace {

int64_t halves_of(const ReuseCosts& costs, const ReuseTable& table, size_t e) { return costs.half && !table[*costs.half][e] ? 2 : 1; }

/// The evaluation, of one half where they are parted.
int64_t cost_of_a_half(const ReuseCosts& costs, const ReuseTable& table, size_t e) {
  int64_t sum = costs.evaluation;
  for (size_t g = 0; g < table.size(); ++g)
    if (g != costs.half && !table[g][e]) sum += costs.groups[g];
  return sum;
}

}  // namespace

int64_t ReuseCosts::of(const ReuseTable& table) const {
  int64_t sum = 0;
  for (size_t e = 0; !table.empty() && e < table.front().size(); ++e) sum += halves_of(*this, table, e) * cost_of_a_half(*this, table, e);
  return sum;
}

int64_t ReuseCosts::saved_by(const ReuseTable& table, size_t group, int evaluation) const {
  const auto e = size_t(evaluation);
  return group == half ? cost_of_a_half(*this, table, e) : halves_of(*this, table, e) * groups[group];
}

std::vector<SiteGroup> site_groups(int blocks, int parts) {
  assert(blocks > 0 && parts > 0);
  const int count = std::min(blocks, parts);
  std::vector<SiteGroup> groups;
  for (int branch = 0; branch < branch_count; ++branch)
    for (int part = 0; part < count; ++part) {
      SiteGroup& group = groups.emplace_back(SiteGroup{{Branch(branch)}, {}});
      for (int block = blocks * part / count; block < blocks * (part + 1) / count; ++block) group.blocks.push_back(block);
    }
  return groups;
}

std::vector<SiteGroup> as_one(const std::vector<SiteGroup>& groups) {
  std::set<Branch> branches;
  std::set<int> blocks;
  bool half = false;
  for (const SiteGroup& group : groups) {
    branches.insert(group.branches.begin(), group.branches.end());
    blocks.insert(group.blocks.begin(), group.blocks.end());
    half = half || group.is_half();
  }
  std::vector<SiteGroup> one{{{branches.begin(), branches.end()}, {blocks.begin(), blocks.end()}}};
  if (half) one.emplace_back();
  return one;
}

ReuseTable over_groups(const ReuseTable& table, const std::vector<SiteGroup>& groups, const std::vector<SiteGroup>& others) {
  const auto is_among = [](auto part, auto all) {
    std::sort(part.begin(), part.end());
    std::sort(all.begin(), all.end());
    return std::includes(all.begin(), all.end(), part.begin(), part.end());
  };
  ReuseTable over;
  for (const SiteGroup& part : others) {
    const auto whole = std::find_if(groups.begin(), groups.end(), [&](const SiteGroup& group) {
      return group.is_half() == part.is_half() && is_among(part.branches, group.branches) && is_among(part.blocks, group.blocks);
    });
    over.push_back(whole != groups.end() ? table[size_t(whole - groups.begin())] : std::vector<bool>(table.front().size(), false));
  }
  return over;
}

ReuseTable all_computed(size_t groups, int evaluations) { return ReuseTable(groups, std::vector<bool>(size_t(evaluations), false)); }

}  // namespace pyracast
