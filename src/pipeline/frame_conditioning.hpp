#pragma once
// Which latent frames of a clip are taken from reference clips (Open-Sora v1.2's mask strategy).
#include <span>

#include "tensor/ops.hpp"
#include "text/prompt.hpp"

namespace pyracast {

/// What a row copies: `length` latent frames of its reference, from its frame `from` on, to the clip's frame `to`.
struct CopiedFrames {
  int64_t from = 0, to = 0, length = 0;
};

/// Of a reference of `available` latent frames into a clip of `frames`; starts are snapped to multiples of `align` where it is given. Throws Error on
/// a start that lies outside.
CopiedFrames copied_frames(const MaskStrategyRow& row, int64_t available, int64_t frames, std::optional<int64_t> align);

/// Copies the rows' reference frames into `latents` [1, channels, time, height, width] and gives the mask [time]: 1
/// generates a frame, anything less is the edit ratio of a frame that was copied. Only rows of this `loop` count.
/// `references` are [channels, time, height, width]. Throws Error on a row that names a reference there is none of, or frames outside of it.
std::vector<float> apply_mask_strategy(Tensor& latents, std::span<const Tensor> references,
                                       std::span<const MaskStrategyRow> rows, int64_t loop, std::optional<int64_t> align);

}  // namespace pyracast
