#include <gtest/gtest.h>

#include <thread>

#include "comm/communicator.hpp"
#include "tensor/tensor.hpp"

namespace pyracast {
namespace {

/// f on each of `ranks` threads, with a communicator between host memory and that thread's device.
template <class F>
void on_ranks(int ranks, F f) {
  auto hosts = make_thread_communicators(ranks);
  std::vector<std::thread> threads;
  for (auto& host : hosts)
    threads.emplace_back([&f, inner = std::move(host)]() mutable {
      const auto backend = make_cpu_backend();
      const auto team = make_staged_communicator(std::move(inner), *backend);
      f(*team, *backend);
    });
  for (auto& thread : threads) thread.join();
}

TEST(StagedCommunicator, MovesUnevenPartsAsCounted) {
  on_ranks(3, [](Communicator& team, Backend& backend) {
    const int rank = team.rank();
    for (const int64_t scale : {5, 1, 7}) {   // its memory is used again by larger and smaller buffers
      std::vector<int64_t> sent, received;
      std::vector<float> values, expected;
      for (int other = 0; other < team.size(); ++other) {   // rank r sends scale * (r + 2 q) numbers to rank q, none to itself at rank 0
        sent.push_back(scale * (rank + 2 * other));
        received.push_back(scale * (other + 2 * rank));
        values.insert(values.end(), size_t(sent.back()), float(10 * rank + other));
        expected.insert(expected.end(), size_t(received.back()), float(10 * other + rank));
      }
      const Tensor in(backend, {int64_t(values.size())}, values), out(backend, {int64_t(expected.size())});
      team.all_to_all(in.view(), sent, out.view(), received);
      EXPECT_EQ(out.to_host(), expected);
    }
  });
}

TEST(StagedCommunicator, GathersAndBroadcasts) {
  on_ranks(3, [](Communicator& team, Backend& backend) {
    const int rank = team.rank();
    const std::vector<int64_t> counts{1, 2, 3};
    const Tensor own(backend, {rank + 1}, std::vector<float>(size_t(rank) + 1, float(rank))), all(backend, {6});
    team.all_gather(own.view(), all.view(), counts);
    EXPECT_EQ(all.to_host(), (std::vector<float>{0, 1, 1, 2, 2, 2}));
    const Tensor told(backend, {4}, std::vector<float>(4, float(rank)));
    team.broadcast(told.view(), 1);
    EXPECT_EQ(told.to_host(), std::vector<float>(4, 1));
  });
}

}  // namespace
}  // namespace pyracast
