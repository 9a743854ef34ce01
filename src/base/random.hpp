#pragma once
#include <span>
#include <string_view>

#include "base/philox.hpp"

namespace pyracast {

/// A stream of noise: one draw for one sample of one prompt. Values of different streams are independent; a stream's
/// value i depends on nothing but the stream and i.
struct NoiseStream {
  PhiloxKey key{};
  uint32_t id = 0, sample = 0, draw = 0;

  /// Standard normal values 4 * block to 4 * block + 3.
  constexpr std::array<float, 4> normals(uint32_t block) const {
    const PhiloxCounter words = philox4x32({block, id, sample, draw}, key);
    const auto first = normal_pair(words[0], words[1]), second = normal_pair(words[2], words[3]);
    return {first[0], first[1], second[0], second[1]};
  }
};

/// The stream of draw number `draw` (0: the initial latents) for sample `sample` of the prompt `id`. Seed and id enter
/// through 96 bits of a SHA-256, so that neighbouring seeds and similar ids have nothing in common.
NoiseStream noise_stream(uint64_t seed, std::string_view id, uint32_t sample, uint32_t draw);

/// Fills `out`, the whole latent in row-major order whatever the number of ranks, with standard normal values of that
/// stream; at most 2^34 of them. The same arguments give the same bits on every machine.
void standard_normal(uint64_t seed, std::string_view id, uint32_t sample, uint32_t draw, std::span<float> out);
/// The stream's values from `first` on.
void standard_normal(const NoiseStream& stream, uint64_t first, std::span<float> out);

}  // namespace pyracast
