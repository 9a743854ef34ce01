// What a device may differ by from a case's numbers.
#include <gtest/gtest.h>

#include "parity/components.hpp"

namespace pyracast {
namespace {

/// Problems of a case's own results, each float times `factor`.
size_t problems(float factor, const Allowance& allowance) {
  const auto backend = make_cpu_backend();
  const Case parity_case(TESTS_DIR "/golden/opensora/scheduler_rflow_plain10", *backend);
  const Results own = run_case(parity_case);
  Results scaled;
  for (const Results::Entry& entry : own.entries()) {
    std::vector<float> values = entry.floats;
    for (float& value : values) value *= factor;
    if (entry.is_integer) scaled.add_integers(entry.name, entry.shape, entry.integers);
    else scaled.add(entry.name, entry.shape, values);
  }
  size_t count = 0;
  for (const Comparison& line : compare(parity_case, scaled, allowance)) count += !line.problem.empty();
  return count;
}

TEST(Allowance, OfAWholeTensorTakesThePlaceOfTheTolerance) {
  EXPECT_EQ(problems(1, {}), 0u);
  EXPECT_GT(problems(1.01f, {}), 0u);
  EXPECT_EQ(problems(1.01f, {1, 0.02}), 0u);
  EXPECT_GT(problems(1.01f, {1, 0.005}), 0u);
  EXPECT_EQ(problems(1.01f, {1e6, 0}), 0u);
}

TEST(Allowance, NeverPassesWhatIsNoNumber) {
  EXPECT_GT(problems(NAN, {1e6, 0}), 0u);
  EXPECT_GT(problems(NAN, {1, 1e6}), 0u);
}

}  // namespace
}  // namespace pyracast
