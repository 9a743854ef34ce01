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

TEST(EmulatedGpu, MeasuresBetweenMomentsOfOperationsOnly) {
  const auto gpu = make_cuda_backend(0, CudaPrecision::float32);
  const DeviceArray x(*gpu, {8}, random_values(8, 1));
  const auto host = gpu->allocate_host(8 * sizeof(float));
  const Moment before = gpu->moment(), copied = gpu->begin_download(x.view, host.get());   // whose event is without a time
  EXPECT_NO_THROW(gpu->seconds(before, gpu->moment()));
  EXPECT_THROW(gpu->seconds(before, copied), Error);
  gpu->follow(copied);
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

/// A GPU with a library for attention.
std::unique_ptr<Backend> gpu_with_library(CudaPrecision precision, CudaAttention attention = CudaAttention::automatic) {
  emulated::with_library_attention = true;
  auto gpu = make_cuda_backend(0, precision, attention);
  emulated::with_library_attention = false;
  return gpu;
}

// What a fingerprint holds: the libraries' bits depend on it.
TEST(EmulatedGpu, IsNamedByWhatDecidesItsBits) {
  EXPECT_EQ(make_cuda_backend(0, CudaPrecision::bfloat16)->name(), "cuda-sm90x4-definition-bfloat16");
  EXPECT_EQ(make_cuda_backend(0, CudaPrecision::float32)->name(), "cuda-sm90-float32");
  EXPECT_EQ(gpu_with_library(CudaPrecision::bfloat16)->name(), "cuda-sm90x4-definition-attention-bfloat16");
  EXPECT_EQ(gpu_with_library(CudaPrecision::bfloat16, CudaAttention::own)->name(), "cuda-sm90x4-definition-bfloat16");
  EXPECT_EQ(gpu_with_library(CudaPrecision::float32)->name(), "cuda-sm90-float32");
}

TEST(EmulatedGpu, SaysThatALibraryThatIsAskedForIsNotThere) {
  try {
    make_cuda_backend(0, CudaPrecision::bfloat16, CudaAttention::cudnn);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("use --gpu-attention own"));
  }
}

/// An attention on bfloat16 tensors: how often the library was called, and the result.
template <class Attend>
std::pair<int64_t, std::vector<float>> attended(Backend& gpu, const Shape& out, Attend attend) {
  const int64_t before = emulated::library_attentions;
  DeviceArray result(gpu, out, std::vector<float>(size_t(View{nullptr, DType::float32, out}.size()), 0.f), DType::bfloat16);
  attend(result.view);
  return {emulated::library_attentions - before, result.values()};
}

// Long sequences of packed queries, keys and values, as they are, normalised and rotated, and of separate ones: the own kernel's results.
TEST(LibraryAttention, IsWhatLongSequencesGoTo) {
  const auto with_library = gpu_with_library(CudaPrecision::bfloat16);
  const auto alone = make_cuda_backend(0, CudaPrecision::bfloat16);
  const int64_t batch = 2, heads = 3, size = 24, width = heads * size;
  struct Case {
    int64_t tokens, beside;
    bool turned;
    int64_t calls;   // of the library
  };
  for (const auto& [tokens, beside, turned, calls] :
       {Case{100, 1, false, 1}, {65, 1, true, 1}, {64, 1, true, 0}, {70, 3, true, 0}, {70, 1, true, 1}}) {
    std::vector<float> results[2];
    for (const auto& gpu : {with_library.get(), alone.get()}) {
      const DeviceArray qkv(*gpu, {batch, tokens, beside, 3, heads, size}, random_values(batch * tokens * beside * 3 * width, 1), DType::bfloat16),
          norm(*gpu, {size}, random_values(size, 2)), angles(*gpu, {tokens, size / 2}, random_values(tokens * size / 2, 3));
      PackedAttention with{.scale = 0.3f};
      if (turned) with.q_norm = with.k_norm = norm.view, with.cosines = with.sines = angles.view;
      const auto [called, result] =
          attended(*gpu, {batch, tokens, beside, heads, size}, [&](View out) { gpu->packed_attention(qkv.view, with, out); });
      EXPECT_EQ(called, gpu == with_library.get() ? calls : 0) << tokens << ' ' << beside;
      results[gpu == alone.get()] = result;
    }
    for (size_t i = 0; i < results[0].size(); ++i) ASSERT_NEAR(results[0][i], results[1][i], 0.02f) << tokens << ' ' << beside << ' ' << i;
  }
}

TEST(LibraryAttention, GetsNeitherListsOfKeysNorBiases) {
  const auto gpu = gpu_with_library(CudaPrecision::bfloat16);
  const int64_t queries = 5, keys = 80, heads = 2, size = 16;
  const DeviceArray q(*gpu, {1, queries, heads, size}, random_values(queries * heads * size, 1), DType::bfloat16),
      kv(*gpu, {1, keys, heads, size}, random_values(keys * heads * size, 2), DType::bfloat16), bias(*gpu, {1, 1, 1, keys}, random_values(keys, 3));
  const AttentionBias added{bias.view};
  const std::vector<KeyRange> listed{{3, 75}};
  const auto calls = [&](const AttentionBias* bias, std::span<const KeyRange> keys_of) {
    return attended(*gpu, q.view.shape, [&](View out) { gpu->attention(q.view, kv.view, kv.view, 0.2f, bias, keys_of, out); }).first;
  };
  EXPECT_EQ(calls(nullptr, {}), 1);
  EXPECT_EQ(calls(&added, {}), 0);
  EXPECT_EQ(calls(nullptr, listed), 0);
}

}  // namespace
}  // namespace pyracast
