// NCCL with as many ranks as there are GPUs; with one it is a copy on the GPU.
#include "comm/nccl_communicator.hpp"

#include "comm/gather.hpp"
#include "mpi_test.hpp"

namespace pyracast {
namespace {

TEST(NcclCommunicator, MovesUnevenPartsAsCounted) {
  std::unique_ptr<Backend> backend;
  std::string absence;
  try {
    backend = make_cuda_backend(test_ranks().node().rank(), CudaPrecision::float32);
  } catch (const Error& error) {
    if (test_ranks().node().rank() < int(visible_gpus().size())) throw;
    absence = error.what();
  }
  const std::vector<int64_t> present = gathered(backend != nullptr);
  if (std::count(present.begin(), present.end(), 0) > 0) GTEST_SKIP() << "not all ranks have a GPU of their own: " << absence;

  const auto team = make_nccl_communicator(duplicate(test_ranks().world()), *backend, "the test", 60);
  const int rank = team->rank(), size = team->size();
  // Rank r sends r + 2 q + 1 numbers to rank q, each 1000 r + q.
  std::vector<int64_t> sent, received;
  std::vector<float> values, expected;
  for (int other = 0; other < size; ++other) {
    sent.push_back(rank + 2 * other + 1);
    received.push_back(other + 2 * rank + 1);
    values.insert(values.end(), size_t(sent.back()), float(1000 * rank + other));
    expected.insert(expected.end(), size_t(received.back()), float(1000 * other + rank));
  }
  const Tensor in(*backend, {int64_t(values.size())}, values), out = zeros(*backend, {int64_t(expected.size())});
  team->all_to_all(in.view(), sent, out.view(), received);
  EXPECT_EQ((out + out).to_host(), [&] {
    std::vector<float> twice;
    for (const float value : expected) twice.push_back(2 * value);
    return twice;
  }());

  const Tensor own(*backend, {int64_t(rank + 1)}, std::vector<float>(size_t(rank) + 1, float(rank)));
  std::vector<int64_t> counts;
  std::vector<float> all;
  for (int other = 0; other < size; ++other) {
    counts.push_back(other + 1);
    all.insert(all.end(), size_t(other) + 1, float(other));
  }
  const Tensor whole(*backend, {int64_t(all.size())});
  team->all_gather(own.view(), whole.view(), counts);
  EXPECT_EQ(whole.to_host(), all);

  const Tensor told(*backend, {3}, std::vector<float>(3, float(rank + 5)));
  team->broadcast(told.view(), size - 1);
  EXPECT_EQ(told.to_host(), std::vector<float>(3, float(size + 4)));
}

}  // namespace
}  // namespace pyracast
