#pragma once
// Which latent frames of a clip are taken from reference clips (Open-Sora v1.2's mask strategy).
#include <span>

#include "models/open_sora_vae.hpp"
#include "text/prompt.hpp"

namespace pyracast {

/// What a row copies: `length` latent frames of its reference, from its frame `from` on, to the clip's frame `to`.
struct CopiedFrames {
  int64_t from = 0, to = 0, length = 0;
};

/// Of a reference of `available` latent frames into a clip of `frames`; starts are snapped to multiples of `align` where it is given. Throws Error on
/// a start that lies outside.
CopiedFrames copied_frames(const MaskStrategyRow& row, int64_t available, int64_t frames, std::optional<int64_t> align);

/// Latent frames of a reference: those of some of its chunks, one behind the other.
struct EncodedReference {
  Tensor latents;                 ///< [channels, time, height, width]
  std::vector<VaeChunk> chunks;   ///< whose they are, in order
  int64_t frames = 0;             ///< latent frames that the whole reference has

  /// Of a whole reference.
  static EncodedReference whole(Tensor latents);
  /// Where a latent frame of the reference is. Throws Error where it is not there.
  int64_t place_of(int64_t frame) const;
};

/// Copies the rows' reference frames into `latents` [1, channels, time, height, width] and gives the mask [time]: 1
/// generates a frame, anything less is the edit ratio of a frame that was copied. Only rows of this `loop` count.
/// Throws Error on a row that names a reference there is none of, or frames outside of it.
std::vector<float> apply_mask_strategy(Tensor& latents, std::span<const EncodedReference> references,
                                       std::span<const MaskStrategyRow> rows, int64_t loop, std::optional<int64_t> align);

}  // namespace pyracast
