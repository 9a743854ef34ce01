#include "tune/shortest_paths.hpp"

#include <cassert>
#include <limits>

namespace pyracast {

namespace {

constexpr double unreachable = std::numeric_limits<double>::infinity();

}  // namespace

std::vector<GroupPath> shortest_paths(int evaluations, const SegmentError& error, int64_t cost) {
  assert(evaluations > 0);
  const size_t size = size_t(evaluations);
  // least[n][end]: evaluations before `end` covered by n segments; began[n][end]: where the last of them begins.
  std::vector<std::vector<double>> least(size + 1, std::vector<double>(size + 1, unreachable));
  std::vector<std::vector<int>> began(size + 1, std::vector<int>(size + 1, 0));
  least[0][0] = 0;
  for (int begin = 0; begin < evaluations; ++begin)
    for (int end = begin + 1; end <= evaluations; ++end) {
      const double segment = error(begin, end - begin - 1);
      for (size_t n = 0; n < size; ++n)
        if (const double sum = least[n][size_t(begin)] + segment; sum < least[n + 1][size_t(end)]) {
          least[n + 1][size_t(end)] = sum;
          began[n + 1][size_t(end)] = begin;
        }
    }
  std::vector<GroupPath> paths;
  for (size_t n = 1; n <= size; ++n) {
    GroupPath path{least[n][size], int64_t(n) * cost, std::vector<bool>(size, true)};
    size_t end = size;
    for (size_t left = n; left > 0; --left) {
      end = size_t(began[left][end]);
      path.reuse[end] = false;
    }
    paths.push_back(std::move(path));
  }
  return paths;
}

std::optional<std::vector<size_t>> least_error(const std::vector<std::vector<GroupPath>>& groups, int64_t budget) {
  if (budget < 0) return std::nullopt;
  const size_t width = size_t(budget) + 1;
  std::vector<double> least(width, 0);   // of the groups so far, at most this cost
  std::vector<std::vector<uint16_t>> chosen;
  for (const auto& paths : groups) {
    std::vector<double> with(width, unreachable);
    std::vector<uint16_t>& choice = chosen.emplace_back(width, 0);
    for (size_t p = 0; p < paths.size(); ++p)
      for (size_t spent = size_t(paths[p].cost); spent < width; ++spent)
        if (const double sum = least[spent - size_t(paths[p].cost)] + paths[p].error; sum < with[spent]) {
          with[spent] = sum;
          choice[spent] = uint16_t(p);
        }
    least = std::move(with);
  }
  if (least.back() == unreachable) return std::nullopt;
  std::vector<size_t> paths(groups.size());
  size_t spent = width - 1;
  for (size_t g = groups.size(); g-- > 0;) {
    paths[g] = chosen[g][spent];
    spent -= size_t(groups[g][paths[g]].cost);
  }
  return paths;
}

}  // namespace pyracast
