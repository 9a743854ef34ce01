#pragma once
#include <variant>

#include "comm/communicator.hpp"
#include "models/autoencoder_kl_temporal_decoder.hpp"
#include "models/causal_vae.hpp"

namespace pyracast {

/// The VAE of Latte or Open-Sora-Plan and how their published pipelines decode with it.
struct VideoDecoder {
  std::variant<std::monostate, AutoencoderKl, AutoencoderKlTemporalDecoder, CausalVae> vae;   ///< none: nothing is decoded
  double scaling_factor = 0.18215;         ///< of the latents
  int64_t chunk = 14;                      ///< temporal decoder: frames at a time
  std::optional<CausalVaeTiling> tiling;   ///< causal VAE

  /// Latents [videos, channels, time, height, width] -> pictures [videos, frames, 8 height, 8 width, 3], about -1 to 1, on
  /// every rank: what can be decoded by itself (frames, runs of frames) is dealt out to the team.
  Tensor operator()(const Tensor& latents, Communicator& team) const;
};

/// Pictures about -1 to 1 as they are shown: x / 2 + 0.5, clamped to 0..1.
std::vector<float> shown(const Tensor& pictures);

}  // namespace pyracast
