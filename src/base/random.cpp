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
  standard_normal(noise_stream(seed, id, sample, draw), 0, out);
}

void standard_normal(const NoiseStream& stream, uint64_t first, std::span<float> out) {
  const uint64_t end = first + out.size();
  require(end <= uint64_t(4) << 32, "noise of ", end, " values exceeds a stream's ", uint64_t(4) << 32);
  for (uint64_t at = first; at < end;) {
    const auto values = stream.normals(uint32_t(at / 4));
    for (uint64_t i = at % 4; i < 4 && at < end; ++i, ++at) out[at - first] = values[i];
  }
}

}  // namespace pyracast
