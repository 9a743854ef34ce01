// The communicator by NCCL between ranks that are processes, as two GPUs that are emulated: in which order things happen. Every rank runs every
// test; one that waits for ever is ended by the communicator's own deadline.
#include <gtest/gtest.h>

#include <condition_variable>

#include "comm/nccl_communicator.hpp"
#include "kernels/cuda/cuda_backend.hpp"
#include "tensor/ops.hpp"

namespace pyracast {
namespace {

const Ranks* all_ranks = nullptr;

struct NcclTeam : testing::Test {
  CudaBackend gpu{0, CudaPrecision::float32};
  const std::unique_ptr<Communicator> team = make_nccl_communicator(duplicate(all_ranks->world()), gpu, "the team", 20);
  const int rank = team->rank(), other = 1 - rank;

  Tensor numbers(float value, int64_t count = 4) { return Tensor(gpu, {count}, std::vector<float>(size_t(count), value)); }
  /// Half of x to each rank.
  Moment begin(const Tensor& x, const Tensor& out) {
    const std::vector<int64_t> halves(2, x.size() / 2);
    return team->begin_all_to_all(x.view(), halves, out.view(), halves);
  }
  static void say(int to) { check_mpi(MPI_Send(nullptr, 0, MPI_INT, to, 0, all_ranks->world()), "saying so"); }
  static void hear(int from) { check_mpi(MPI_Recv(nullptr, 0, MPI_INT, from, 0, all_ranks->world(), MPI_STATUS_IGNORE), "hearing it"); }
};

TEST_F(NcclTeam, ExchangesBesideComputing) {
  EXPECT_TRUE(team->overlaps());
  for (int slow = 0; slow < 2; ++slow) {   // the rank that comes when the other has computed and seen the result
    const Tensor x = numbers(float(rank)), out(gpu, {4});
    if (rank == slow) hear(other);
    const Moment end = begin(x, out);
    const Tensor meanwhile = x + x;
    EXPECT_EQ(meanwhile.to_host(), std::vector<float>(4, float(2 * rank)));
    gpu.finish();   // of what was asked for, none waits for the exchange
    if (rank != slow) say(slow);
    gpu.follow(end);
    EXPECT_EQ(out.to_host(), (std::vector<float>{0, 0, 1, 1}));
  }
}

TEST_F(NcclTeam, ExchangesWhatWasComputedBefore) {
  const Tensor x = numbers(-1), out(gpu, {4});
  std::mutex mutex;
  std::condition_variable changed;
  bool is_let = false;
  emulated::later(gpu.stream(), [&] {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return is_let; });
    std::fill_n(static_cast<float*>(x.view().data), 4, float(rank));
  });
  const Moment end = begin(x, out);
  {
    const std::lock_guard lock(mutex);
    is_let = true;
  }
  changed.notify_all();
  gpu.follow(end);
  EXPECT_EQ(out.to_host(), (std::vector<float>{0, 0, 1, 1}));
}

TEST_F(NcclTeam, ExchangesSeveralInTheirOrder) {
  std::vector<Tensor> outs;
  std::vector<Moment> ends;
  std::vector<Tensor> sent;
  for (int i = 0; i < 5; ++i) {
    sent.push_back(numbers(float(10 * i + rank), 2000));
    outs.emplace_back(gpu, Shape{2000});
    ends.push_back(begin(sent.back(), outs.back()));
  }
  for (size_t i = outs.size(); i-- > 0;) {
    gpu.follow(ends[i]);
    std::vector<float> expected(1000, float(10 * i));
    expected.resize(2000, float(10 * i + 1));
    EXPECT_EQ(outs[i].to_host(), expected) << i;
  }
}

// One that is not begun beside computing is waited for by what comes next.
TEST_F(NcclTeam, IsWaitedForUnlessItWasBegun) {
  const std::vector<int64_t> halves(2, 50000), counts(2, 4);
  const Tensor x = numbers(float(rank), 100000), out(gpu, {100000}), all(gpu, {8}), told = numbers(float(rank));
  team->all_to_all(x.view(), halves, out.view(), halves);
  const Tensor twice = out + out;
  team->all_gather(told.view(), all.view(), counts);
  team->broadcast(told.view(), 1);
  EXPECT_EQ(slice(twice, 0, 49999, 50001).to_host(), (std::vector<float>{0, 2}));
  EXPECT_EQ(all.to_host(), (std::vector<float>{0, 0, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(told.to_host(), std::vector<float>(4, 1));
}

}  // namespace
}  // namespace pyracast

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  pyracast::Ranks ranks(argc, argv);
  pyracast::all_ranks = &ranks;
  int failed = RUN_ALL_TESTS(), any = 0;
  pyracast::check_mpi(MPI_Allreduce(&failed, &any, 1, MPI_INT, MPI_MAX, ranks.world()), "comparing");
  return any;
}
