#include "tune/shortest_paths.hpp"

#include <gmock/gmock.h>

#include <limits>
#include <random>

namespace pyracast {
namespace {

using testing::ElementsAre;

/// Segments of random errors that grow with their length, as those of reuse do, but for a few that shrink.
class RandomSegments {
 public:
  RandomSegments(int evaluations, std::mt19937& generator) : size_(evaluations), errors_(size_t(evaluations * evaluations)) {
    std::uniform_real_distribution<double> uniform(-0.2, 1);
    for (double& error : errors_) error = uniform(generator);
  }
  double operator()(int computed, int reused) const { return errors_[size_t(computed * size_ + reused)] * reused; }
  double of(const std::vector<bool>& reuse) const {
    double sum = 0;
    for (int e = 0, next; e < size_; e = next) {
      for (next = e + 1; next < size_ && reuse[size_t(next)]; ++next) {}
      sum += (*this)(e, next - e - 1);
    }
    return sum;
  }

 private:
  int size_;
  std::vector<double> errors_;
};

std::vector<std::vector<bool>> every_table(int evaluations) {
  std::vector<std::vector<bool>> tables;
  for (int bits = 0; bits < 1 << (evaluations - 1); ++bits) {
    std::vector<bool>& table = tables.emplace_back(size_t(evaluations), false);
    for (int e = 1; e < evaluations; ++e) table[size_t(e)] = bits >> (e - 1) & 1;
  }
  return tables;
}

int64_t computed(const std::vector<bool>& reuse) { return std::count(reuse.begin(), reuse.end(), false); }

TEST(ShortestPaths, AreTheBestOfAllTablesOfTheirLength) {
  std::mt19937 generator(1);
  for (int round = 0; round < 20; ++round) {
    constexpr int evaluations = 9;
    const RandomSegments segments(evaluations, generator);
    std::vector<double> best(evaluations + 1, std::numeric_limits<double>::infinity());
    for (const auto& table : every_table(evaluations))
      best[size_t(computed(table))] = std::min(best[size_t(computed(table))], segments.of(table));
    const auto paths = shortest_paths(evaluations, segments, 7);
    ASSERT_EQ(paths.size(), size_t(evaluations));
    for (size_t n = 1; n <= paths.size(); ++n) {
      EXPECT_NEAR(paths[n - 1].error, best[n], 1e-12) << n;
      EXPECT_NEAR(segments.of(paths[n - 1].reuse), best[n], 1e-12) << n;
      EXPECT_EQ(computed(paths[n - 1].reuse), int64_t(n));
      EXPECT_EQ(paths[n - 1].cost, 7 * int64_t(n));
      EXPECT_FALSE(paths[n - 1].reuse[0]);
    }
  }
}

TEST(LeastError, IsThatOfTheBestOfAllCombinationsWithinTheBudget) {
  std::mt19937 generator(2);
  constexpr int evaluations = 5;
  const auto tables = every_table(evaluations);
  for (int round = 0; round < 10; ++round) {
    std::vector<RandomSegments> segments;
    std::vector<std::vector<GroupPath>> groups;
    const std::vector<int64_t> costs{1 + int64_t(generator() % 5), 1 + int64_t(generator() % 5), 3};
    for (const int64_t cost : costs) {
      segments.emplace_back(evaluations, generator);
      groups.push_back(shortest_paths(evaluations, segments.back(), cost));
    }
    for (int64_t budget = 0; budget < 60; budget += 3) {
      double best = std::numeric_limits<double>::infinity();
      for (const auto& a : tables)
        for (const auto& b : tables)
          for (const auto& c : tables)
            if (costs[0] * computed(a) + costs[1] * computed(b) + costs[2] * computed(c) <= budget)
              best = std::min(best, segments[0].of(a) + segments[1].of(b) + segments[2].of(c));
      const auto chosen = least_error(groups, budget);
      ASSERT_EQ(chosen.has_value(), best < std::numeric_limits<double>::infinity()) << budget;
      if (!chosen) continue;
      double error = 0;
      int64_t cost = 0;
      for (size_t g = 0; g < groups.size(); ++g) {
        error += groups[g][(*chosen)[g]].error;
        cost += groups[g][(*chosen)[g]].cost;
      }
      EXPECT_NEAR(error, best, 1e-12) << budget;
      EXPECT_LE(cost, budget);
    }
  }
}

TEST(LeastError, IsNothingWhereEvenTheCheapestPathsCostMore) {
  const std::vector<GroupPath> one{{0.5, 10, {false}}};
  EXPECT_FALSE(least_error({one, one}, 19));
  EXPECT_FALSE(least_error({one}, -1));
  ASSERT_TRUE(least_error({one, one}, 20));
  EXPECT_THAT(*least_error({one, one}, 20), ElementsAre(0, 0));
}

}  // namespace
}  // namespace pyracast
