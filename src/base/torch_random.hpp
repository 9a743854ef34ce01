#pragma once
#include <optional>
#include <random>
#include <span>

#include "base/dtype.hpp"
#include "base/philox.hpp"

namespace pyracast {

/// The numbers of torch.Generator("cpu"), so that published results can be compared: the same integers bit for bit,
/// normal values to a few float32 roundings (PyTorch's own builds differ among themselves by as much). State carries
/// over from call to call as there.
class TorchGenerator {
 public:
  /// As torch.manual_seed(seed): the low 32 bits count.
  explicit TorchGenerator(uint64_t seed) : engine_(uint32_t(seed)) {}

  /// The next output of the Mersenne twister.
  uint32_t next_u32() { return uint32_t(engine_()); }
  /// torch.rand in float32.
  void rand(std::span<float> out);
  /// torch.randn in float32, bfloat16 or float16; the halves are rounded to their type and given as float32. How many
  /// numbers are drawn depends on the type when the size is no multiple of 16.
  void randn(std::span<float> out, DType dtype = DType::float32);

 private:
  float uniform() { return float(next_u32() & 0xffffff) * 0x1p-24f; }
  double uniform53();
  double next_normal();

  std::mt19937 engine_;
  std::optional<double> kept_normal_;   ///< second value of the last pair that a call of fewer than 16 began
};

/// The numbers of torch.Generator("cuda") on a GPU of a given size: with more values than threads, the order depends
/// on the number of multiprocessors.
class TorchCudaGenerator {
 public:
  struct Device {
    int multiprocessors = 0, threads_per_multiprocessor = 0;
  };

  /// `offset` is the generator's state, a multiple of 4: 0 after torch.cuda.manual_seed.
  TorchCudaGenerator(uint64_t seed, Device device, uint64_t offset = 0);

  uint64_t offset() const { return offset_; }
  /// torch.randn in float32, to 1e-4 (a GPU takes fast sine and cosine).
  void randn(std::span<float> out);

  /// The four normal values of one Philox output.
  static std::array<float, 4> normals(const PhiloxCounter& words);

 private:
  uint64_t seed_;
  Device device_;
  uint64_t offset_;
};

}  // namespace pyracast
