#include "base/torch_random.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/error.hpp"

namespace pyracast {

namespace {

constexpr size_t chunk = 16;
constexpr float two_pi = 2 * std::numbers::pi_v<float>;

float rounded(double value, DType dtype) {
  if (dtype == DType::bfloat16) return round_to_bfloat16(float(value));
  if (dtype == DType::float16) return float_from_half(half_from_float(float(value)));
  return float(value);
}

/// Box-Muller on 16 uniform values in place: value j with value j + 8. Logarithm, sine and cosine are taken in double
/// and rounded, so that no system's float library shows.
void transform(std::span<float> values, DType dtype) {
  for (size_t j = 0; j < chunk / 2; ++j) {
    const float u1 = 1 - values[j], angle = two_pi * values[j + chunk / 2];
    const double radius = float(std::sqrt(-2 * std::log(double(u1))));
    values[j] = rounded(radius * std::cos(double(angle)), dtype);
    values[j + chunk / 2] = rounded(radius * std::sin(double(angle)), dtype);
  }
}

}  // namespace

double TorchGenerator::uniform53() {
  const uint64_t high = next_u32(), low = next_u32();
  return double((high << 32 | low) & ((uint64_t(1) << 53) - 1)) * 0x1p-53;
}

double TorchGenerator::next_normal() {
  if (kept_normal_) return *std::exchange(kept_normal_, std::nullopt);
  const double u1 = uniform53(), u2 = uniform53();
  const double radius = std::sqrt(-2 * std::log1p(-u2)), angle = 2 * std::numbers::pi * u1;
  kept_normal_ = radius * std::sin(angle);
  return radius * std::cos(angle);
}

void TorchGenerator::rand(std::span<float> out) {
  for (float& value : out) value = uniform();
}

void TorchGenerator::randn(std::span<float> out, DType dtype) {
  require(dtype == DType::float32 || dtype == DType::bfloat16 || dtype == DType::float16,
          "torch's normal values in ", name_of(dtype), " are not known; expected float32, bfloat16 or float16");
  if (out.size() < chunk) {
    for (float& value : out) value = rounded(next_normal(), dtype);
    return;
  }
  const size_t whole = out.size() / chunk * chunk;
  // float32 draws a uniform number for each value first, also for those of the tail; the halves draw chunk by chunk.
  rand(dtype == DType::float32 ? out : out.first(whole));
  for (size_t at = 0; at < whole; at += chunk) transform(out.subspan(at, chunk), dtype);
  if (whole == out.size()) return;
  // The last 16 places are drawn anew, over values already made.
  const auto tail = out.last(chunk);
  rand(tail);
  transform(tail, dtype);
}

TorchCudaGenerator::TorchCudaGenerator(uint64_t seed, Device device, uint64_t offset)
    : seed_(seed), device_(device), offset_(offset) {
  require(device.multiprocessors > 0 && device.threads_per_multiprocessor >= 256 && offset % 4 == 0,
          "torch's CUDA noise needs a GPU's size and an offset that is a multiple of 4; got ", device.multiprocessors,
          " multiprocessors of ", device.threads_per_multiprocessor, " threads, offset ", offset);
}

std::array<float, 4> TorchCudaGenerator::normals(const PhiloxCounter& words) {
  std::array<float, 4> values;
  for (int pair = 0; pair < 2; ++pair) {
    const float u = float(words[2 * pair]) * 0x1p-32f + 0x1p-33f;
    const float angle = float(words[2 * pair + 1]) * (0x1p-32f * two_pi) + 0x1p-33f * two_pi;
    const double radius = std::sqrt(-2 * std::log(double(u)));
    values[2 * pair] = float(radius * std::sin(double(angle)));
    values[2 * pair + 1] = float(radius * std::cos(double(angle)));
  }
  return values;
}

void TorchCudaGenerator::randn(std::span<float> out) {
  if (out.empty()) return;
  constexpr uint64_t block = 256;
  const uint64_t count = out.size();
  const uint64_t resident = uint64_t(device_.multiprocessors) * uint64_t(device_.threads_per_multiprocessor / block);
  const uint64_t threads = block * std::min((count + block - 1) / block, resident);
  const PhiloxKey key{uint32_t(seed_), uint32_t(seed_ >> 32)};
  const uint64_t rounds = (count - 1) / (4 * threads) + 1;
  for (uint64_t round = 0; round < rounds; ++round) {
    const uint64_t position = offset_ / 4 + round;
    for (uint64_t thread = 0; thread < threads; ++thread) {
      const auto values = normals(philox4x32(
          {uint32_t(position), uint32_t(position >> 32), uint32_t(thread), uint32_t(thread >> 32)}, key));
      for (uint64_t i = 0; i < 4; ++i)
        if (const uint64_t at = thread + threads * (i + 4 * round); at < count) out[at] = values[i];
    }
  }
  offset_ += 4 * rounds;
}

}  // namespace pyracast
