// What GPUs differ in, and what their drivers refuse.
#include <gmock/gmock.h>

#include "cuda_runtime.h"
#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

TEST(EmulatedGpu, GivesIdleMemoryBackBeforeARequestFails) {
  const auto gpu = make_cuda_backend(0, CudaPrecision::float32);
  emulated::pool_is_in_pieces = true;
  EXPECT_NO_THROW(gpu->allocate(1000));
  EXPECT_FALSE(emulated::pool_is_in_pieces);
}

TEST(EmulatedGpu, IsToldAtOnceThatItHasNoScalesForRowsOfFloat8) {
  for (const int capability : {8, 10}) {
    emulated::capability = capability;
    const auto gpu = make_cuda_backend(0, CudaPrecision::bfloat16);
    emulated::capability = 9;
    const DeviceArray weight(*gpu, {16, 32}, random_values(16 * 32, 1));
    try {
      gpu->pack(weight.view, DType::float8);
      ADD_FAILURE() << "compute capability " << capability;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr(concat("cuda-sm", capability)), testing::HasSubstr("use --dtype bfloat16")));
    }
    EXPECT_NO_THROW(gpu->pack_exactly(weight.view));
  }
}

// What a fingerprint holds: cuBLASLt's bits depend on it.
TEST(EmulatedGpu, IsNamedByWhatDecidesItsBits) {
  EXPECT_EQ(make_cuda_backend(0, CudaPrecision::bfloat16)->name(), "cuda-sm90x4-definition-bfloat16");
  EXPECT_EQ(make_cuda_backend(0, CudaPrecision::float32)->name(), "cuda-sm90-float32");
}

}  // namespace
}  // namespace pyracast
