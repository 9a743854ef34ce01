#include "comm/sequence_parallel.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <functional>
#include <thread>

#include "tests/comm/forwarding.hpp"

namespace pyracast {
namespace {

/// A team of threads; `in_turns`: as where exchanges go on beside computing.
struct TestTeam {
  int ranks;
  bool in_turns;
};

void PrintTo(const TestTeam& team, std::ostream* out) { *out << concat(team.ranks, team.in_turns ? " ranks in turns" : " ranks"); }

void on_threads(TestTeam team, const std::function<void(int, Communicator&, Backend&)>& act) {
  const int ranks = team.ranks;
  auto communicators = make_thread_communicators(ranks);
  if (team.in_turns)
    for (auto& own : communicators) own = std::make_unique<InTurns>(std::move(own));
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
  const int64_t row = rows.dim(2) * rows.dim(3), sequences = rows.dim(1) * row;   // a token of each of those beside each other
  for (int64_t n = 0; n < rows.dim(0); ++n)
    for (int64_t i = row; i < sequences; ++i) values[size_t(n * sequences + i)] += values[size_t(n * sequences + i - row)];
  return Tensor(rows.backend(), rows.shape(), values);
}

class SequencesOn : public testing::TestWithParam<TestTeam> {};

TEST_P(SequencesOn, AnyNumberOfRanksAreThoseOfOne) {
  for (const Shape& shape : {Shape{2, 5, 9, 3}, Shape{1, 1, 7, 2}, Shape{2, 3, 1, 2}, Shape{2, 4, 16, 1}}) {
    for (const Axis axis : {Axis::space, Axis::time}) {
      const auto backend = make_cpu_backend();
      const auto lone = make_lone_communicator();
      SequenceParallel alone(*lone);
      const std::vector<float> expected = alone.along(axis, alone.shard(counted(*backend, shape)), running_sums).to_host();
      std::vector<std::vector<float>> got(static_cast<size_t>(GetParam().ranks));
      on_threads(GetParam(), [&](int rank, Communicator& team, Backend& own) {
        SequenceParallel parallel(team);
        const Tensor part = parallel.shard(counted(own, shape));
        got[size_t(rank)] = parallel.gather(parallel.along(axis, part, running_sums)).to_host();
      });
      for (const auto& values : got) EXPECT_EQ(values, expected) << concat(shape);
    }
  }
}

TEST_P(SequencesOn, SpaceCostTwoAllToAllsATurnOfWhatIsNotThereYetAndOnTimeNothing) {
  const auto [ranks, in_turns] = GetParam();
  const int64_t batch = 2, time = 4, space = 9, channels = 3, rows = batch * time;
  std::vector<CommunicationLedger> of_time(static_cast<size_t>(ranks)), of_space(static_cast<size_t>(ranks));
  on_threads(GetParam(), [&](int rank, Communicator& team, Backend& backend) {
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
    EXPECT_EQ(of_space[size_t(rank)].all_to_alls, ranks == 1 ? 0 : in_turns ? 4 : 2);
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
    const int64_t batch = qkv.dim(0), tokens = qkv.dim(1), heads = qkv.dim(4), size = qkv.dim(5);
    const auto part = [&](int64_t i) { return slice(qkv, 3, i, i + 1).reshape({batch, tokens, 1, heads * size}); };
    return (running_sums(part(0)) * part(1) + part(2)).reshape({batch, tokens, 1, heads, size});
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
    std::vector<std::vector<float>> got(static_cast<size_t>(GetParam().ranks));
    on_threads(GetParam(), [&](int rank, Communicator& team, Backend& own) {
      SequenceParallel parallel(team);
      got[size_t(rank)] = result(parallel, own);
      EXPECT_EQ(parallel.ledger().all_to_alls, team.size() == 1 ? 0 : GetParam().in_turns && shape[0] == 2 ? 4 : 2);
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
        const Tensor gathered = parallel.in_order(gather_on_first(team, parallel.moved(part, axis, Axis::time), sizes));
        EXPECT_EQ(gathered.to_host(), rank == 0 ? values : std::vector<float>());
      });
}

TEST_P(SequencesOn, RanksGetWhatTheRootBroadcasts) {
  on_threads(GetParam(), [&](int rank, Communicator& team, Backend& backend) {
    const Tensor data(backend, {3}, std::vector<float>(3, float(rank)));
    team.broadcast(data.view(), team.size() - 1);
    EXPECT_EQ(data.to_host(), std::vector<float>(3, float(team.size() - 1)));
  });
}

// Each row says which batch entry, frame and place it is of; f sees which it computes.
TEST_P(SequencesOn, AxesTheyAreExchangedToAreToldWhichFramesAndEntriesTheyAre) {
  on_threads(GetParam(), [&](int, Communicator& team, Backend& backend) {
    SequenceParallel parallel(team);
    const int64_t batch = 2, time = 5, space = 6;
    const Tensor whole = counted(backend, {batch, time, space, 1});
    const Tensor of_frames = whole.reshape({batch * time, space}), of_entries = whole.reshape({batch, -1});
    for (const Axis resting : {Axis::space, Axis::time}) {
      const auto frames = [&](const Tensor& rows) {
        EXPECT_EQ(rows.to_host(), parallel.of_attended_frames(of_frames).to_host());
        return rows;
      };
      EXPECT_EQ(parallel.gather(parallel.along(Axis::space, parallel.shard(whole, resting), frames)).to_host(), whole.to_host());
    }
    const Tensor x = parallel.shard(whole);
    const auto entries = [&](const Tensor& tokens) {
      EXPECT_EQ(tokens.to_host(), parallel.of_attended_entries(of_entries).to_host());
      return tokens.reshape({tokens.dim(0), tokens.dim(1), 1, tokens.dim(4), tokens.dim(5)});
    };
    EXPECT_EQ(parallel.gather(parallel.over_heads(x.reshape({batch, time, x.dim(2), 1, 1, 1}), entries)).to_host(), whole.to_host());
    EXPECT_EQ(parallel.of_attended_entries(of_entries).shape(), of_entries.shape());
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, SequencesOn,
                         testing::Values(TestTeam{1, false}, TestTeam{2, false}, TestTeam{3, false}, TestTeam{4, false}, TestTeam{5, false},
                                         TestTeam{8, false}, TestTeam{2, true}, TestTeam{3, true}, TestTeam{4, true}, TestTeam{5, true},
                                         TestTeam{8, true}),
                         [](const auto& info) { return concat(info.param.ranks, info.param.in_turns ? "InTurns" : ""); });

TEST(TokenParts, AreInTwoTurnsTogetherAsEvenAsInOne) {
  for (int ranks = 1; ranks <= 9; ++ranks)
    for (int64_t time = 1; time <= 20; ++time) {
      const TokenParts once{2, time, 4, ranks}, turns{2, time, 4, ranks, 2};
      std::vector<int64_t> both(size_t(ranks), 0);
      int64_t next = 0;
      for (int turn = 0; turn < 2; ++turn) {
        const std::vector<int64_t> counts = turns.frames_in(turn);
        for (int rank = 0; rank < ranks; ++rank) {
          EXPECT_EQ(turns.first_frame(turn, rank), next);
          next += counts[size_t(rank)];
          both[size_t(rank)] += counts[size_t(rank)];
          EXPECT_LE(std::abs(counts[size_t(rank)] * ranks - time), ranks) << "no more than one more or less than its share";
        }
        EXPECT_EQ(next, (turn + 1) * time) << "a turn is one half of guidance";
      }
      EXPECT_EQ(both, once.sizes(Axis::time)) << time << " frames on " << ranks;
      EXPECT_EQ(turns.imbalance(Axis::time), once.imbalance(Axis::time));
      for (const Axis from : {Axis::space, Axis::time})
        for (int rank = 0; rank < ranks; ++rank) EXPECT_EQ(turns.tokens_sent(rank, from), once.tokens_sent(rank, from));
    }
  const TokenParts odd{2, 15, 4, 2, 2};
  EXPECT_EQ(odd.frames_in(0), (std::vector<int64_t>{7, 8}));
  EXPECT_EQ(odd.frames_in(1), (std::vector<int64_t>{8, 7}));
}

}  // namespace
}  // namespace pyracast
