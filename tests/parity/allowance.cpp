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

TEST(Allowance, IsOfTheTextEmbeddingsAsWellThatACaseGives) {
  const auto backend = make_cpu_backend();
  const Case parity_case(TESTS_DIR "/golden/latte/pipeline_latte_batch_tempvae_pab_diffusers", *backend);
  const Results own = run_case(parity_case);
  const auto problems_of = [&](const Allowance& allowance, float factor) {
    Results scaled;
    for (const char* name : {"prompt_embeds", "negative_prompt_embeds"}) {
      std::vector<float> values = parity_case.input_floats(name);
      for (float& value : values) value *= factor;
      scaled.add_given(name, Tensor(*backend, parity_case.input_shape(name), values));
    }
    size_t count = 0;
    for (const Comparison& line : compare(parity_case, scaled, allowance))
      count += line.name.ends_with("prompt_embeds") && !line.problem.empty();
    return count;
  };
  for (const char* name : {"prompt_embeds", "negative_prompt_embeds"}) ASSERT_TRUE(own.find(name)) << name;
  EXPECT_EQ(problems_of({}, 1), 0u);
  EXPECT_EQ(problems_of({}, 1.01f), 2u);
  EXPECT_EQ(problems_of({1, 0.02}, 1.01f), 0u);
  EXPECT_EQ(problems_of({1, 0.005}, 1.01f), 2u);
}

TEST(Allowance, NeverPassesWhatIsNoNumber) {
  EXPECT_GT(problems(NAN, {1e6, 0}), 0u);
  EXPECT_GT(problems(NAN, {1, 1e6}), 0u);
}

}  // namespace
}  // namespace pyracast
