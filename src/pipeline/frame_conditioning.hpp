#pragma once
// Which latent frames of a clip are taken from reference clips (Open-Sora v1.2's mask strategy).
#include <span>

#include "tensor/ops.hpp"
#include "text/prompt.hpp"

namespace pyracast {

/// Copies the rows' reference frames into `latents` [1, channels, time, height, width] and gives the mask [time]: 1
/// generates a frame, anything less is the edit ratio of a frame that was copied. Only rows of this `loop` count.
/// `references` are [channels, time, height, width]. Starts are snapped to multiples of `align` where it is given.
/// Throws Error on a row that names a reference there is none of, or frames outside of it.
std::vector<float> apply_mask_strategy(Tensor& latents, std::span<const Tensor> references,
                                       std::span<const MaskStrategyRow> rows, int64_t loop, std::optional<int64_t> align);

}  // namespace pyracast
