// The networks of Latte and Open-Sora-Plan on teams of threads: several evaluations with reuse give one rank's bits.
#include <gtest/gtest.h>
#include <omp.h>

#include <thread>

#include "models/open_sora_t2v.hpp"
#include "plan/video_plan.hpp"
#include "tests/comm/forwarding.hpp"

namespace pyracast {
namespace {

constexpr int evaluations = 4, layers = 2;
const Json config{{"num_attention_heads", 5},  {"attention_head_dim", 12}, {"num_layers", layers},   {"caption_channels", 8},
                  {"in_channels", 4},          {"out_channels", 4},        {"norm_eps", 1e-6},       {"video_length", 5},
                  {"attention_bias", true},    {"sample_size", {8, 10}},   {"sample_size_t", 5},     {"use_rope", true},
                  {"interpolation_scale_h", 1.0}, {"interpolation_scale_t", 1.0}, {"interpolation_scale_w", 1.0}};

Tensor numbers(Backend& backend, const Shape& shape, int seed) {
  std::vector<float> values(size_t(size_of(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(int64_t((i + size_t(seed) * 977) * 2654435761u % 2001) - 1000) / 500;
  return Tensor(backend, shape, values);
}

BroadcastSchedule some_reuse() {
  BroadcastSchedule schedule(evaluations, layers);
  for (const int e : {1, 2}) schedule.set_reuse(e, {Branch::temporal_attention, 0}, true);
  for (const int e : {1, 3}) schedule.set_reuse(e, {Branch::spatial_attention, 1}, true);
  schedule.set_reuse(2, {Branch::spatial_cross, 0}, true);
  schedule.set_reuse(3, {Branch::spatial_mlp, 1}, true);
  return schedule;
}

/// Outputs of all evaluations. Some latents are padding, and the caption has a mask.
template <class Network, class Config>
std::vector<float> outputs_of(Communicator& team, Backend& backend, bool planned) {
  const Config read = Config::from_json(config, "config.json");
  const Network network(Weights::random(backend, {DType::float32}), read);
  const Shape latents{2, 4, 5, 6, 8};
  std::vector<float> kept(size_t(2 * 5 * 6 * 8), 1);
  for (size_t i = 0; i < kept.size(); ++i)
    if (i % 8 > 5) kept[i] = 0;
  const std::vector<int64_t> mask{1, 1, 0, 1, 1, 1};
  const LatteCaption caption = network.embed_caption(numbers(backend, {2, 3, 8}, 3), mask);
  const BroadcastSchedule schedule = some_reuse();
  const TokenParts parts{2, 5, 12, team.size(), SequenceParallel::turns_of(team, 2)};
  const TokenPlan plan =
      planned ? least_exchanges(schedule, latte_branches(), parts, may_rest_over_time(parts)) : TokenPlan(schedule, {}, Axis::space);
  pyracast::Run run(team, schedule, plan, StoredOutput::ungated);
  std::vector<float> out;
  for (int e = 0; e < evaluations; ++e) {
    run.begin(e);
    const std::vector<float> values = network(numbers(backend, latents, e), {900.5f - float(100 * e), 300}, caption, run, kept).to_host();
    out.insert(out.end(), values.begin(), values.end());
  }
  return out;
}

template <class Network, class Config>
void expect_the_bits_of_one(bool planned) {
  const auto backend = make_cpu_backend();
  const auto alone = make_lone_communicator();
  const std::vector<float> expected = outputs_of<Network, Config>(*alone, *backend, false);
  EXPECT_NE(expected.front(), expected.back());
  for (const int ranks : {2, 3, 4, 5, 8})
    for (const bool in_turns : {false, true}) {
      auto team = make_thread_communicators(ranks);
      if (in_turns)
        for (auto& own : team) own = std::make_unique<InTurns>(std::move(own));
      std::vector<std::vector<float>> got(static_cast<size_t>(ranks));
      std::vector<std::thread> threads;
      for (int rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] {
          omp_set_num_threads(1);
          const auto own = make_cpu_backend();
          got[size_t(rank)] = outputs_of<Network, Config>(*team[size_t(rank)], *own, planned);
        });
      for (std::thread& thread : threads) thread.join();
      for (const auto& values : got) EXPECT_EQ(values, expected) << ranks << " ranks" << (in_turns ? " in turns" : "");
    }
}

TEST(LatteOnATeam, GivesTheBitsOfOneRankWhereverTokensRest) {
  expect_the_bits_of_one<Latte, LatteConfig>(true);
  expect_the_bits_of_one<Latte, LatteConfig>(false);
}

TEST(OpenSoraT2vOnATeam, GivesTheBitsOfOneRank) { expect_the_bits_of_one<OpenSoraT2v, OpenSoraT2vConfig>(false); }

}  // namespace
}  // namespace pyracast
