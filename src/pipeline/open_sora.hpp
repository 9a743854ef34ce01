#pragma once
// Open-Sora v1.2 from prompt to pixels (OpenSoraPipeline of VideoSys 4cce477, opensora/scripts/inference.py of v1.2).
#include <map>

#include "diffusion/rectified_flow.hpp"
#include "models/stdit3.hpp"
#include "pipeline/frame_conditioning.hpp"
#include "pipeline/team_text_encoder.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// The networks of a model and how they are to be used.
struct OpenSoraParts {
  TeamTextEncoder text_encoder;
  Stdit3 transformer;
  OpenSoraVae vae;
  RectifiedFlowSettings flow;   ///< its steps are each request's
};

class OpenSora final : public VideoPipeline {
 public:
  /// `condition_dtype`, float32 or bfloat16: the type in which the published pipeline holds sizes and timesteps. `team` must
  /// outlive this.
  OpenSora(OpenSoraParts parts, Backend& backend, DType condition_dtype, const TeamChannels& team);

  VideoResult generate(const VideoRequest& request, const VideoRun& run) override;
  Arrival decoding(const VideoRequest& request, const VideoResult& result, bool takes_frames) const override;
  std::vector<float> timesteps(const VideoRequest& request) const override { return flow(request).timesteps; }
  int blocks() const override { return int(parts_.transformer.config().depth); }
  BranchOrder branches() const override { return open_sora_branches(); }
  Shape token_shape(const VideoRequest& request) const override;
  VideoPlan plan(const VideoRequest& request, const BroadcastSchedule& schedule) const override;

 private:
  Backend& backend_;
  DType condition_dtype_;
  OpenSoraParts parts_;
  const TeamChannels& team_;

  /// Frames of a row's reference in one size.
  struct KnownFrames {
    size_t reference;
    std::string file, sha256;
    int64_t height, width, first, count;
    auto operator<=>(const KnownFrames&) const = default;
  };
  /// What the encoder knows of them before noise comes in, of the last video's references: the next sample of a row has the same.
  std::map<KnownFrames, Tensor> moments_;

  RectifiedFlowSchedule flow(const VideoRequest& request) const;
  Shape latent_shape(const VideoRequest& request) const;
  /// The latents of the clip that `progress` is at [1, channels, time, height, width]; nothing when the team stopped or failed (then its result
  /// says so).
  std::optional<Tensor> make_clip(const VideoRequest& request, const VideoRun& run, std::span<const TextToEncode> texts,
                                  std::vector<EncodedReference> references, VideoProgress& progress, const Observer& observe);
  /// Random numbers for encoding that chunk of a video of so many frames: of all clips one, or of a clip's references each, its own.
  struct EncodingNoise {
    Tensor spatial, temporal;
  };
  EncodingNoise encoding_noise(const VideoRequest& request, NoiseSource& noise, int clip, int index, int64_t frames, const VaeChunk& chunk) const;
  /// The chunks of a reference of so many frames that a row takes latent frames of. Throws Error on a row that takes none.
  std::vector<VaeChunk> taken_chunks(const VideoRequest& request, std::span<const MaskStrategyRow> rows, size_t reference, int64_t frames) const;
  /// Throws Error on files that cannot be read, and on a mask strategy that does not fit them.
  std::vector<Reference> read_references(const VideoRequest& request, const VideoRun& run) const;
  std::vector<EncodedReference> encode_references(const VideoRequest& request, std::vector<Reference> references, const VideoRun& run);
  EncodedReference encode_previous(const VideoRequest& request, const HostTensor& previous, NoiseSource& noise, int clip) const;
  /// Pictures of latents [1, 3, frames, height, width], about -1 to 1, and what puts those from one frame on behind the frames of a result;
  /// one with pictures that are not finite has failed.
  struct Decoded {
    Tensor pictures;
    Arrival arrival;
  };
  Decoded decoded(const Tensor& latents, const VideoRequest& request, int64_t first, bool takes_frames) const;
  std::optional<Tensor> denoise(const VideoRequest& request, const VideoRun& run, const EncodedText& text, Tensor latents,
                                const std::vector<float>& mask, VideoProgress& progress, const Observer& observe);
};

/// The texts of a video's clips, in their order, of at most `most` tokens. `encode_padding`: see VideoRun. Throws Error on a prompt that asks for
/// what is not there.
std::vector<TextToEncode> open_sora_texts(const VideoRequest& request, int64_t most, bool encode_padding = false);

/// Frames of one clip of a video that was made of so many, each continuing the one before from `condition_latents` latent frames.
int64_t frames_of_clip(int64_t frames_of_video, int clips, int64_t condition_latents);

}  // namespace pyracast
