#pragma once
// Latte-1 from token ids to pictures (diffusers' LattePipeline; VideoSys' where they differ is said).
#include <variant>

#include "diffusion/sampler.hpp"
#include "models/autoencoder_kl_temporal_decoder.hpp"
#include "models/latte.hpp"
#include "models/t5.hpp"
#include "pab/broadcast_policy.hpp"

namespace pyracast {

/// Ids of prompts and of their negative prompts, padded to one length, with 1 in the masks where a token counts.
struct LatteTokens {
  int64_t prompts = 1, length = 120;
  std::vector<int64_t> ids, mask, negative_ids, negative_mask;   ///< [prompts * length]
};

/// What the transformer is conditioned on; no mask is handed to it.
struct LatteText {
  Tensor prompts, negatives;   ///< [videos, tokens, width]; negatives are empty without guidance
};

/// Encoded prompts, each `videos_a_prompt` times. `mask_feature`: the padding's embeddings are cut off where there is one
/// video in all (and the negative prompt's at the same place), else set to 0 in the prompts alone.
LatteText encode_latte_prompts(const T5Encoder& encoder, const LatteTokens& tokens, bool mask_feature, int videos_a_prompt, bool guidance);

struct LatteRequest {
  int steps = 50;
  double guidance = 7.5;       ///< 1 or less: none
  double eta = 0;
  BroadcastPolicy broadcast = {};
};

/// The networks of a model and how they are to be used.
struct LatteParts {
  T5Encoder text_encoder;
  Latte transformer;
  std::variant<std::monostate, AutoencoderKl, AutoencoderKlTemporalDecoder> vae;
  double scaling_factor = 0.18215;   ///< of the latents
  Json scheduler;                    ///< scheduler_config.json
};

class LattePipeline {
 public:
  /// `team` shares the tokens of a video; it must outlive this.
  LattePipeline(LatteParts parts, Communicator& team) : parts_(std::move(parts)), team_(team) {}

  LatteText encode(const LatteTokens& tokens, bool mask_feature, int videos_a_prompt, bool guidance) const {
    return encode_latte_prompts(parts_.text_encoder, tokens, mask_feature, videos_a_prompt, guidance);
  }

  /// Noise N(0, 1) [videos, in_channels, frames, height, width] -> latents. `observe` sees the latents after each step,
  /// "latents". Throws Error on a sampler's config that is not supported.
  Tensor denoise(const Tensor& noise, const LatteText& text, const LatteRequest& request, const Observer& observe = {}) const;

  /// Latents -> pictures [videos, frames, height, width, 3] in 0 to 1, `chunk` frames at a time. Throws Error without a VAE.
  Tensor decode(const Tensor& latents, int64_t chunk) const;

  /// What is computed and what is reused for this request.
  BroadcastSchedule schedule(const LatteRequest& request) const;

 private:
  LatteParts parts_;
  Communicator& team_;
};

}  // namespace pyracast
