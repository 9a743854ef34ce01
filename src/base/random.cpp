#include "base/random.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "base/file.hpp"

namespace pyracast {

namespace {

uint32_t word_of(const std::string& hexadecimal, size_t index) {
  return uint32_t(std::stoul(hexadecimal.substr(index * 8, 8), nullptr, 16));
}

}  // namespace

NoiseStream noise_stream(uint64_t seed, std::string_view id, uint32_t sample, uint32_t draw) {
  // The seed ends at the first colon, so no two pairs of seed and id share a text.
  const std::string hash = sha256(std::to_string(seed) + ":" + std::string(id));
  return {.key = {word_of(hash, 0), word_of(hash, 1)}, .id = word_of(hash, 2), .sample = sample, .draw = draw};
}

void standard_normal(uint64_t seed, std::string_view id, uint32_t sample, uint32_t draw, std::span<float> out) {
  require(out.size() <= uint64_t(4) << 32, "noise of ", out.size(), " values exceeds a stream's ", uint64_t(4) << 32);
  const NoiseStream stream = noise_stream(seed, id, sample, draw);
  for (size_t at = 0; at < out.size(); at += 4) {
    const auto values = stream.normals(uint32_t(at / 4));
    std::copy_n(values.begin(), std::min<size_t>(4, out.size() - at), out.begin() + ptrdiff_t(at));
  }
}

}  // namespace pyracast
