#pragma once
// Open-Sora-Plan v1.1 and v1.2 from encoded prompts to frames (VideoSys' OpenSoraPlanPipeline).
#include <variant>

#include "diffusion/sampler.hpp"
#include "models/causal_vae.hpp"
#include "models/open_sora_t2v.hpp"
#include "pab/broadcast_policy.hpp"

namespace pyracast {

/// Encoded prompts and negative prompts [videos, length, width], padded, with their masks [videos * length].
struct OpenSoraPlanText {
  Tensor prompts, negatives;
  std::vector<int64_t> mask, negative_mask;
};

/// What the transformer is given: negatives first, then prompts. v1.1: the padding is cut off where there is one prompt (at the
/// prompt's length also of the negative one), else set to 0 in the prompts alone, and there is no mask. v1.2: all of it, with
/// its mask.
struct OpenSoraPlanConditioning {
  Tensor text;                 ///< [2 videos, tokens, width]
  std::vector<int64_t> mask;   ///< [2 videos * tokens]; empty: none
};

struct OpenSoraPlanRequest {
  int steps = 150;
  double guidance = 7.5;
  BroadcastPolicy broadcast = {};
};

/// The networks of a model and how they are to be used.
struct OpenSoraPlanParts {
  std::variant<Latte, OpenSoraT2v> transformer;   ///< of v1.1, of v1.2
  CausalVae vae;
  double scaling_factor = 0.18215;
  std::optional<CausalVaeTiling> tiling = CausalVaeTiling{512, 64, 29, 8, 0.25};   ///< as the published pipeline decodes
  Json scheduler;                                 ///< scheduler_config.json
};

class OpenSoraPlan {
 public:
  /// `team` shares the tokens of a video; it must outlive this.
  OpenSoraPlan(OpenSoraPlanParts parts, Communicator& team) : parts_(std::move(parts)), team_(team) {}

  OpenSoraPlanConditioning conditioning(const OpenSoraPlanText& text) const;
  /// What is computed and what is reused for this request.
  BroadcastSchedule schedule(const OpenSoraPlanRequest& request) const;
  /// Noise N(0, 1) [videos, 4, frames, height, width] -> latents. `fresh_noise`: what the sampler draws at an evaluation.
  Tensor denoise(const Tensor& noise, const OpenSoraPlanConditioning& conditioning, const OpenSoraPlanRequest& request,
                 const std::function<Tensor(int evaluation)>& fresh_noise, const Observer& observe = {}) const;
  /// Latents -> frames [videos, frames, height, width, 3], about -1 to 1.
  Tensor decode(const Tensor& latents) const;

 private:
  OpenSoraPlanParts parts_;
  Communicator& team_;

  bool is_v120() const { return std::holds_alternative<OpenSoraT2v>(parts_.transformer); }
};

}  // namespace pyracast
