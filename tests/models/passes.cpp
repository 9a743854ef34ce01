// Passes over all tokens that an evaluation does without, counted at a published size, without computing.
#include <gtest/gtest.h>

#include "kernels/planning_backend.hpp"
#include "models/stdit3.hpp"

namespace pyracast {
namespace {

struct Passes {
  int copies = 0, sums = 0, gates = 0;
};

/// Counts passes over at least so many elements.
class LargePasses : public PlanningBackend {
 public:
  explicit LargePasses(int64_t least) : least_(least) {}
  void copy(View, int64_t, const Shape&, View, int64_t, const Shape&, const Shape& shape) override { passes.copies += size_of(shape) >= least_; }
  void add(View, View, View out) override { passes.sums += out.size() >= least_; }
  void gate(View, View, View out) override { passes.gates += out.size() >= least_; }
  void add_gated(View, View, View, View out) override { passes.gates += out.size() >= least_; }
  Passes passes;
  static constexpr int layers = 3, evaluations = 3;   // of what is counted: the first evaluation makes what is kept for the video

 private:
  int64_t least_;
};

/// Those of the last evaluation, by this schedule.
template <class Evaluate>
Passes passes(LargePasses& backend, const BroadcastSchedule& schedule, Evaluate evaluate) {
  const auto alone = make_lone_communicator();
  pyracast::Run run(*alone, schedule);
  for (int evaluation = 0; evaluation < backend.evaluations; ++evaluation) {
    run.begin(evaluation);
    backend.passes = {};
    evaluate(run);
  }
  return backend.passes;
}

Passes passes_of_open_sora(const BroadcastSchedule& schedule) {
  LargePasses backend(int64_t(2) * 15 * 30 * 53 * 1152);
  const Stdit3 network(Weights::random(backend, {}), Stdit3Config::from_json({{"hidden_size", 1152}, {"depth", backend.layers}, {"num_heads", 16},
                                                                              {"caption_channels", 4096}, {"qk_norm", true}}, "config.json"));
  const CaptionTokens caption = network.embed_caption(Tensor(backend, {2, 300, 4096}), {});
  const Tensor latents(backend, {2, 4, 15, 60, 106});
  return passes(backend, schedule, [&](pyracast::Run& run) {
    network(latents, {.timesteps = {500, 500}, .fps = {24, 24}, .height = 480, .width = 848, .frame_mask = {}}, caption, run);
  });
}

void expect(const Passes& found, const Passes& expected) {
  EXPECT_EQ(found.copies, expected.copies);
  EXPECT_EQ(found.sums, expected.sums);
  EXPECT_EQ(found.gates, expected.gates);
}

// Attention along time reads tokens where they are, and the sum of a branch and what it is added to comes out of the branch's last product.
TEST(Passes, OfOpenSoraRepeatAndAddThePositionsAlone) {
  expect(passes_of_open_sora(BroadcastSchedule(LargePasses::evaluations, LargePasses::layers)), {.copies = 1, .sums = 1, .gates = 0});
}

TEST(Passes, OfOpenSoraAddEachOutputThatIsReused) {
  BroadcastSchedule schedule(LargePasses::evaluations, LargePasses::layers);
  for (int block = 0; block < LargePasses::layers; ++block)
    for (const Branch branch : {Branch::spatial_cross, Branch::temporal_cross})
      schedule.set_reuse(LargePasses::evaluations - 1, {branch, block}, true);
  expect(passes_of_open_sora(schedule), {.copies = 1, .sums = 1 + 2 * LargePasses::layers, .gates = 0});
}

// What is stored is gated, by itself.
TEST(Passes, OfOpenSoraGateEachOutputThatIsStored) {
  BroadcastSchedule schedule(LargePasses::evaluations + 1, LargePasses::layers);
  for (int block = 0; block < LargePasses::layers; ++block)
    for (const Branch branch : {Branch::spatial_attention, Branch::temporal_attention})
      schedule.set_reuse(LargePasses::evaluations, {branch, block}, true);
  expect(passes_of_open_sora(schedule), {.copies = 1, .sums = 1 + 2 * LargePasses::layers, .gates = 2 * LargePasses::layers});
}

}  // namespace
}  // namespace pyracast
