// Copies beside a GPU's operations where copies take their time: nothing is read before it is there.
#include <gtest/gtest.h>

#include "cuda_runtime.h"
#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

struct SlowCopies : testing::Test {
  std::unique_ptr<Backend> gpu = make_cuda_backend(0, CudaPrecision::float32);
  void SetUp() override { emulated::copies_take = emulated::copies_beside_take = std::chrono::milliseconds(20); }
  void TearDown() override { emulated::copies_take = emulated::copies_beside_take = std::chrono::microseconds(0); }
};

TEST_F(SlowCopies, BesideOperationsAreBehindThoseBeforeThemAndBehindEachOther) {
  constexpr int64_t size = 1000;
  const std::shared_ptr<void> host = gpu->allocate_host(size * sizeof(float));
  const std::vector<float> values = random_values(size, 3);
  DeviceArray x(*gpu, Shape{size});
  const DeviceArray y(*gpu, Shape{size});
  for (int i = 0; i < 4; ++i) gpu->upload(std::vector<float>(size, float(i)).data(), x.view);
  gpu->upload(values.data(), x.view);   // on its way for longer than a copy takes
  gpu->begin_download(x.view, host.get());
  gpu->follow(gpu->begin_upload(host.get(), y.view));
  EXPECT_EQ(y.values(), values);
}

TEST_F(SlowCopies, AreFollowedByOperationsThatReadOrOverwrite) {
  constexpr int64_t size = 1000;
  const std::shared_ptr<void> host = gpu->allocate_host(size * sizeof(float));
  const std::vector<float> values = random_values(size, 4);
  DeviceArray x(*gpu, {size}, values);
  gpu->follow(gpu->begin_download(x.view, host.get()));
  gpu->fill(x.view, 0);
  x.memory.reset();
  gpu->finish();
  EXPECT_TRUE(std::equal(values.begin(), values.end(), static_cast<const float*>(host.get())));
}

}  // namespace
}  // namespace pyracast
