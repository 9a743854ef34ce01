#include "pipeline/frame_conditioning.hpp"

#include <algorithm>

namespace pyracast {

CopiedFrames copied_frames(const MaskStrategyRow& row, int64_t available, int64_t frames, std::optional<int64_t> align) {
  CopiedFrames copied{row.reference_start < 0 ? available + row.reference_start : row.reference_start,
                      row.target_start < 0 ? frames + row.target_start : row.target_start};
  if (align) {
    copied.from = find_nearest_point(copied.from, *align, available);
    copied.to = find_nearest_point(copied.to, *align, frames);
  }
  copied.length = std::min({row.length, frames - copied.to, available - copied.from});
  require(copied.from >= 0 && copied.to >= 0 && copied.length >= 0, "the mask strategy copies frame ", row.reference_start, " of a reference of ",
          available, " latent frames to frame ", row.target_start, " of ", frames);
  return copied;
}

EncodedReference EncodedReference::whole(Tensor latents) {
  const int64_t frames = latents.dim(1);
  return {std::move(latents), {{.first_latent = 0, .latents = frames}}, frames};
}

int64_t EncodedReference::place_of(int64_t frame) const {
  int64_t before = 0;
  for (const VaeChunk& chunk : chunks) {
    if (chunk.first_latent <= frame && frame < chunk.first_latent + chunk.latents) return before + frame - chunk.first_latent;
    before += chunk.latents;
  }
  fail("latent frame ", frame, " of a reference was not encoded");
}

std::vector<float> apply_mask_strategy(Tensor& latents, std::span<const EncodedReference> references,
                                       std::span<const MaskStrategyRow> rows, int64_t loop,
                                       std::optional<int64_t> align) {
  const int64_t frames = latents.dim(2);
  std::vector<float> mask(size_t(frames), 1);
  for (const MaskStrategyRow& row : rows) {
    if (row.loop != loop) continue;
    require(row.reference >= 0 && row.reference < int64_t(references.size()), "the mask strategy names reference ",
            row.reference, ", but there are ", references.size());
    const EncodedReference& reference = references[size_t(row.reference)];
    const auto [from, to, length] = copied_frames(row, reference.frames, frames, align);
    if (length == 0) continue;
    const int64_t place = reference.place_of(from);
    const Tensor copied = slice(reference.latents, 1, place, place + length);
    Shape shape = copied.shape();
    shape.insert(shape.begin(), 1);
    latents = concatenate({slice(latents, 2, 0, to), copied.reshape(shape), slice(latents, 2, to + length, frames)}, 2);
    std::fill_n(mask.begin() + to, length, float(row.edit_ratio));
  }
  return mask;
}

}  // namespace pyracast
