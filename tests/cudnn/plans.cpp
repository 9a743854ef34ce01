// cuDNN compiles the attentions of published networks for an H200 that is not here.
#include <dlfcn.h>
#include <gmock/gmock.h>

#include "kernels/cuda/library_attention.hpp"

namespace pyracast::cuda {
namespace {

/// As cuDNN writes a GPU's properties (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION).
const std::string h200 = R"({"maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536,
  "multiProcessorCount": 132, "warpSize": 32, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
  "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048,
  "pciDeviceId": 0, "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 150121545728, "smClockRateKHz": 1980000,
  "memClockRateKHz": 3201000, "l2CacheSize": 62914560, "cudaDeviceId": 0, "deviceVer": 900, "driverVer": 13000, "deviceName": "NVIDIA H200"})";

/// Self attention of packed queries, keys and values; `apart`: queries and keys were normalised, and lie by themselves.
NarrowAttentionCall packed(int64_t tokens, int64_t heads, int64_t size, bool apart) {
  const int64_t width = heads * size, row = apart ? width : 3 * width;
  return {nullptr, nullptr, nullptr, nullptr, tokens, heads, size, 1, nullptr, 0, 0, 0, row, row, 3 * width};
}

/// The name of the kernel that the driver took last.
std::string compiled_kernel() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  const auto name = driver ? reinterpret_cast<const char* (*)()>(dlsym(driver, "stand_in_kernel")) : nullptr;
  return name ? name() : "";
}

// By a kernel of Hopper's own instructions.
TEST(CudnnAttention, IsCompiledForAnH200) {
  struct Network {
    const char* name;
    int64_t batch, tokens, heads, size;
    bool apart;
  };
  for (const Network& n : {Network{"Open-Sora 1.2 at 480p, a frame", 30, 1590, 16, 72, true},
                           {"Open-Sora 1.2 at 240p, a frame", 30, 405, 16, 72, true},
                           {"Latte-1 at 512 x 512, a frame", 32, 1024, 16, 72, false},
                           {"Open-Sora-Plan 1.2, 93 frames at 480p", 2, 28800, 24, 96, true},
                           {"six of its heads, on a rank of a team", 1, 28800, 6, 96, true}}) {
    const int64_t bytes = compile_library_attention(h200, packed(n.tokens, n.heads, n.size, n.apart), n.batch, n.tokens);
    EXPECT_GE(bytes, 0) << n.name;
    EXPECT_LE(bytes, int64_t(library_workspace_bytes)) << n.name;
    EXPECT_THAT(compiled_kernel(), testing::HasSubstr("sm90")) << n.name;
  }
}

TEST(CudnnAttention, ThatCudnnHasNotIsRefusedWithAWayOut) {
  try {
    compile_library_attention(h200, packed(100, 2, 20, false), 1, 100);   // heads of no multiple of 8
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("heads of 20"), testing::HasSubstr("use --gpu-attention own")));
  }
}

}  // namespace
}  // namespace pyracast::cuda
