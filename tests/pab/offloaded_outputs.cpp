// Outputs in the host's memory: what is copied when, and what it takes.
#include <gmock/gmock.h>

#include "kernels/planning_backend.hpp"
#include "pab/attention_cache.hpp"

namespace pyracast {
namespace {

using ::testing::ElementsAre;

const std::vector<Branch> order{Branch::temporal_attention, Branch::spatial_mlp, Branch::spatial_cross};

/// A GPU that computes nothing and notes what is copied beside its operations, and when they wait for it. Copies have the names of outputs,
/// which are so many numbers.
class NotedCopies final : public PlanningBackend {
 public:
  NotedCopies() : PlanningBackend(PlannedDevice::gpu_float32) {}
  std::vector<std::string> notes;

  Moment begin_download(View x, void*) override { return noted(concat("out ", x.size())); }
  Moment begin_upload(const void*, View out) override { return noted(concat("in ", out.size())); }
  void follow(const Moment& moment) override { notes.push_back("wait for " + *static_cast<const std::string*>(moment.event.get())); }

 private:
  Moment noted(std::string what) {
    notes.push_back(what);
    return {{}, std::make_shared<std::string>(std::move(what))};
  }
};

/// Every branch of every block is reused at these evaluations.
BroadcastSchedule schedule_of(int evaluations, int blocks, std::initializer_list<int> reused) {
  BroadcastSchedule schedule(evaluations, blocks);
  for (const int e : reused)
    for (int block = 0; block < blocks; ++block)
      for (const Branch branch : order) schedule.set_reuse(e, {branch, block}, true);
  return schedule;
}

/// What a network's evaluation asks for; the outputs are those of `output`.
template <class Output>
void evaluate(AttentionCache& cache, Backend& backend, int evaluation, Output output) {
  cache.begin(evaluation);
  for (int block = 0; block < cache.schedule().blocks(); ++block)
    for (size_t i = 0; i < order.size(); ++i) {
      const Site site{order[i], block};
      if (!cache.reuses(site)) {
        cache.computed(backend, site, [&] { return output(evaluation, int64_t(block) * int64_t(order.size()) + int64_t(i) + 1); });
        continue;
      }
      cache.stored(site);
      cache.keep(site);
    }
}

TEST(OffloadedOutputs, AreCopiedBackAheadOfTheirUseInTheOrderOfTheNetwork) {
  NotedCopies device;
  const auto noted_at = [&](AttentionCache& cache, int evaluation) {
    device.notes.clear();
    evaluate(cache, device, evaluation, [&](int, int64_t number) { return Tensor(device, {number}); });
    return device.notes;
  };
  {
    AttentionCache cache(schedule_of(4, 2, {1, 3}));
    cache.offload(order);
    EXPECT_THAT(noted_at(cache, 0), ElementsAre("out 1", "out 2", "out 3", "out 4", "wait for out 1", "out 5", "wait for out 2", "out 6"));
    EXPECT_THAT(noted_at(cache, 1), ElementsAre("wait for out 3", "in 1", "wait for out 4", "in 2", "wait for out 5", "in 3", "wait for in 1", "in 4",
                                                "wait for in 2", "in 5", "wait for in 3", "in 6", "wait for in 4", "wait for in 5", "wait for in 6"));
    EXPECT_TRUE(cache.stored_sites().empty());
    EXPECT_THAT(noted_at(cache, 2),
                ElementsAre("out 1", "out 2", "out 3", "wait for out 6", "out 4", "wait for out 1", "out 5", "wait for out 2", "out 6"));
    device.notes.clear();
  }
  EXPECT_THAT(device.notes, ElementsAre("wait for out 6")) << "before memory is given back that copies still use";
}

TEST(OffloadedOutputs, TakeOfTheDeviceWhatIsUnderWayAndOfTheHostWhatIsStored) {
  constexpr int blocks = 10;
  constexpr int64_t numbers = 1000, on_device = 4096, in_host = 64 << 10;   // of an output, as pools take them
  NotedCopies device;
  AttentionCache cache(schedule_of(6, blocks, {1, 2, 4}));
  cache.offload(order);
  for (int e = 0; e < 6; ++e) {
    evaluate(cache, device, e, [&](int, int64_t) { return Tensor(device, {numbers}); });
    const int64_t stored = blocks * int64_t(order.size());
    EXPECT_EQ(device.most_host_in_use(), size_t(stored * in_host)) << "the same blocks again at evaluation " << e;
    EXPECT_EQ(cache.most_bytes(), stored * numbers * int64_t(sizeof(float)));
  }
  EXPECT_EQ(device.most_in_use(), size_t(on_device) * (OffloadedOutputs::most_under_way + 1)) << "and the one in use";
}

TEST(OffloadedOutputs, AreTheSameAsThoseThatStayOnTheDevice) {
  const auto backend = make_cpu_backend();
  const auto read_with = [&](bool offloads) {
    AttentionCache cache(schedule_of(5, 2, {1, 2, 4}));
    if (offloads) cache.offload(order);
    std::vector<float> read;
    for (int e = 0; e < 5; ++e) {
      evaluate(cache, *backend, e, [&](int evaluation, int64_t number) { return Tensor(*backend, {2}, {float(evaluation), float(number)}); });
      for (const Site site : cache.stored_sites())   // as for saving
        for (const float value : cache.stored(site).to_host()) read.push_back(value);
    }
    return read;
  };
  EXPECT_EQ(read_with(true), read_with(false));
  EXPECT_EQ(read_with(true).size(), 3u * 6 * 2);
}

TEST(OffloadedOutputs, OfAnotherSizeTakeTheirPlace) {
  const auto backend = make_cpu_backend();
  const Site site{Branch::spatial_mlp, 0};
  BroadcastSchedule schedule(3, 1);
  schedule.set_reuse(1, site, true);
  schedule.set_reuse(2, site, true);
  AttentionCache cache(schedule);
  cache.offload({Branch::spatial_mlp});
  cache.begin(0);
  cache.computed(*backend, site, [&] { return Tensor(*backend, {2}, {1.f, 2.f}); });
  cache.begin(1);
  EXPECT_EQ(cache.stored(site).to_host(), (std::vector<float>{1, 2}));
  cache.keep(site, Tensor(*backend, {3}, {3.f, 4.f, 5.f}));   // as after a move to another rank
  cache.begin(2);
  const Tensor last = cache.stored(site);
  EXPECT_EQ(last.shape(), (Shape{3}));
  EXPECT_EQ(last.to_host(), (std::vector<float>{3, 4, 5}));
}

}  // namespace
}  // namespace pyracast
