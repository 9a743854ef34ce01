#include "comm/sequence_parallel.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <functional>
#include <thread>

namespace pyracast {
namespace {

void on_threads(int ranks, const std::function<void(int, Communicator&, Backend&)>& act) {
  auto communicators = make_thread_communicators(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      omp_set_num_threads(1);
      const auto backend = make_cpu_backend();
      act(rank, *communicators[size_t(rank)], *backend);
    });
  for (std::thread& thread : threads) thread.join();
}

Tensor counted(Backend& backend, const Shape& shape) {
  std::vector<float> values(size_t(size_of(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(i);
  return Tensor(backend, shape, values);
}

/// Each element becomes the sum of those before it in its sequence, channel by channel: wrong order or a missing token shows.
Tensor running_sums(const Tensor& rows) {
  std::vector<float> values = rows.to_host();
  const int64_t length = rows.dim(1), channels = rows.dim(2);
  for (int64_t n = 0; n < rows.dim(0); ++n)
    for (int64_t i = channels; i < length * channels; ++i) values[size_t(n * length * channels + i)] += values[size_t(n * length * channels + i - channels)];
  return Tensor(rows.backend(), rows.shape(), values);
}

class SequencesOn : public testing::TestWithParam<int> {};

TEST_P(SequencesOn, AnyNumberOfRanksAreThoseOfOne) {
  for (const Shape& shape : {Shape{2, 5, 9, 3}, Shape{1, 1, 7, 2}, Shape{2, 3, 1, 2}, Shape{2, 4, 16, 1}}) {
    for (const Axis axis : {Axis::space, Axis::time}) {
      const auto backend = make_cpu_backend();
      const auto lone = make_lone_communicator();
      SequenceParallel alone(*lone);
      const std::vector<float> expected = alone.along(axis, alone.shard(counted(*backend, shape)), running_sums).to_host();
      std::vector<std::vector<float>> got(static_cast<size_t>(GetParam()));
      on_threads(GetParam(), [&](int rank, Communicator& team, Backend& own) {
        SequenceParallel parallel(team);
        const Tensor part = parallel.shard(counted(own, shape));
        got[size_t(rank)] = parallel.gather(parallel.along(axis, part, running_sums)).to_host();
      });
      for (const auto& values : got) EXPECT_EQ(values, expected) << concat(shape);
    }
  }
}

TEST_P(SequencesOn, SpaceCostTwoAllToAllsOfWhatIsNotThereYetAndOnTimeNothing) {
  const int ranks = GetParam();
  const int64_t batch = 2, time = 4, space = 9, channels = 3, rows = batch * time;
  std::vector<CommunicationLedger> of_time(static_cast<size_t>(ranks)), of_space(static_cast<size_t>(ranks));
  on_threads(ranks, [&](int rank, Communicator& team, Backend& backend) {
    SequenceParallel parallel(team);
    const Tensor part = parallel.shard(counted(backend, {batch, time, space, channels}));
    parallel.along(Axis::time, part, running_sums);
    of_time[size_t(rank)] = parallel.ledger();
    parallel.along(Axis::space, part, running_sums);
    of_space[size_t(rank)] = parallel.ledger();
  });
  int64_t bytes = 0, expected = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    EXPECT_EQ(of_time[size_t(rank)].all_to_alls, 0);
    EXPECT_EQ(of_space[size_t(rank)].all_to_alls, ranks == 1 ? 0 : 2);
    bytes += of_space[size_t(rank)].all_to_all_bytes;
    const int64_t own_rows = part_sizes(rows, ranks)[size_t(rank)], own_space = part_sizes(space, ranks)[size_t(rank)];
    expected += ((rows - own_rows) * own_space + own_rows * (space - own_space)) * channels * 4;
  }
  EXPECT_EQ(bytes, expected);
}

// Each head gives the running sums of its queries over all tokens, times what is in its keys and values: a token or a head in
// the wrong place shows.
TEST_P(SequencesOn, AllTokensOfEachHeadAreThoseOfOneRank) {
  const auto attend = [](const Tensor& qkv) {
    const int64_t batch = qkv.dim(0), tokens = qkv.dim(1), heads = qkv.dim(3), size = qkv.dim(4);
    const auto part = [&](int64_t i) { return slice(qkv, 2, i, i + 1).reshape({batch, tokens, heads * size}); };
    return (running_sums(part(0)) * part(1) + part(2)).reshape({batch, tokens, heads, size});
  };
  for (const Shape& shape : {Shape{2, 3, 7, 3, 5, 2}, Shape{1, 1, 4, 3, 8, 1}, Shape{2, 2, 1, 3, 3, 2}}) {
    const auto backend = make_cpu_backend();
    const auto whole = [&](Backend& own) { return counted(own, {shape[0], shape[1], shape[2], 3 * shape[4] * shape[5]}); };
    const auto result = [&](SequenceParallel& parallel, Backend& own) {
      const Tensor x = parallel.shard(whole(own));
      return parallel.gather(parallel.over_heads(x.reshape({x.dim(0), x.dim(1), x.dim(2), 3, shape[4], shape[5]}), attend)).to_host();
    };
    const auto lone = make_lone_communicator();
    SequenceParallel alone(*lone);
    const std::vector<float> expected = result(alone, *backend);
    std::vector<std::vector<float>> got(static_cast<size_t>(GetParam()));
    on_threads(GetParam(), [&](int rank, Communicator& team, Backend& own) {
      SequenceParallel parallel(team);
      got[size_t(rank)] = result(parallel, own);
      EXPECT_EQ(parallel.ledger().all_to_alls, team.size() > 1 ? 2 : 0);
    });
    for (const auto& values : got) EXPECT_EQ(values, expected) << concat(shape);
  }
}

TEST_P(SequencesOn, AreTakenFromWholeTokensAndGatheredOnTheFirstRankAlone) {
  for (const Shape& shape : {Shape{2, 5, 9, 3}, Shape{1, 1, 7, 2}, Shape{2, 3, 1, 2}})
    for (const Axis axis : {Axis::space, Axis::time})
      on_threads(GetParam(), [&](int rank, Communicator& team, Backend& own) {
        SequenceParallel parallel(team);
        const Tensor whole = counted(own, shape), sharded = parallel.shard(whole, axis);
        const std::vector<float> values = whole.to_host();
        const Tensor part = parallel.part_of(own, values.data(), shape, axis);
        EXPECT_EQ(part.shape(), sharded.shape());
        EXPECT_EQ(part.to_host(), sharded.to_host());
        std::vector<int64_t> sizes;
        for (const int64_t frames : parallel.parts_of(shape).sizes(Axis::time)) sizes.push_back(frames * shape[2] * shape[3]);
        const Tensor gathered = gather_on_first(team, parallel.moved(part, axis, Axis::time), sizes);
        EXPECT_EQ(gathered.to_host(), rank == 0 ? values : std::vector<float>());
      });
}

TEST_P(SequencesOn, RanksGetWhatTheRootBroadcasts) {
  on_threads(GetParam(), [&](int rank, Communicator& team, Backend& backend) {
    const Tensor data(backend, {3}, std::vector<float>(3, float(rank)));
    team.broadcast(data.view(), GetParam() - 1);
    EXPECT_EQ(data.to_host(), std::vector<float>(3, float(GetParam() - 1)));
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, SequencesOn, testing::Values(1, 2, 3, 4, 5, 8));

}  // namespace
}  // namespace pyracast
