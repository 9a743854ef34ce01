#pragma once
// The pipeline that Latte and Open-Sora-Plan share (diffusers' and VideoSys' pipelines of these models): two encoded texts,
// classifier-free guidance, a sampler that scheduler_config.json names, and a VAE.
#include <variant>

#include "diffusion/sampler.hpp"
#include "models/open_sora_t2v.hpp"
#include "pipeline/denoising.hpp"
#include "pipeline/team_text_encoder.hpp"
#include "pipeline/video_decoder.hpp"

namespace pyracast {

/// What of the padding of texts a network is given. `cut`: none of it, where there is one prompt (the negative one is cut at the
/// same place); else the prompts' is set to 0. `masked`: all of it, with its mask.
enum class Padding { cut, masked };

/// Encoded prompts and negative prompts [videos, tokens, width]; negatives are empty without guidance. The masks [videos *
/// tokens] are empty where the network is given none.
struct PromptEmbeddings {
  Tensor prompts, negatives;
  std::vector<int64_t> mask, negative_mask;

  /// As a network is given them.
  PromptEmbeddings with(Padding padding) const;
};

/// The networks of a model and how they are to be used.
struct TextToVideoParts {
  std::variant<Latte, OpenSoraT2v> transformer;
  VideoDecoder decoder;
  Json scheduler;                       ///< scheduler_config.json
  std::string scheduler_file;           ///< its name, for messages
  Padding padding = Padding::cut;
  int64_t most_tokens = 120;            ///< of a text
  StoredOutput stored = StoredOutput::gated;   ///< how the family's published broadcasting keeps outputs
};

/// The prompt and, with guidance, the negative one, of at most `most_tokens` tokens, for a network that is given padding so.
std::vector<TextToEncode> texts_of(const VideoRequest& request, Padding padding, int64_t most_tokens);

class TextToVideo final : public VideoPipeline {
 public:
  /// `team` must outlive this. Without a text encoder only denoise() and decode() can be called.
  TextToVideo(TextToVideoParts parts, std::optional<TeamTextEncoder> text_encoder, Backend& backend, const TeamChannels& team);

  VideoResult generate(const VideoRequest& request, const VideoRun& run) override;
  using VideoPipeline::decode;
  Arrival decoding(const VideoRequest& request, const VideoResult& result, bool takes_frames) const override;
  std::vector<float> timesteps(const VideoRequest& request) const override { return sampler(request)->timesteps(); }
  int blocks() const override;
  BranchOrder branches() const override;
  Shape token_shape(const VideoRequest& request) const override;
  VideoPlan plan(const VideoRequest& request, const BroadcastSchedule& schedule) const override;

  /// Noise N(0, 1) [videos, channels, time, height, width] -> latents; of the request: steps, guidance and eta. `text` is what
  /// with() gives. Shows of each evaluation model_output (both halves, where they are in one batch), noise_pred_guided (what the sampler is given)
  /// and latents. Nothing where the team stopped or failed. Throws Error on a sampler's config that is not supported.
  std::optional<Tensor> denoise(const Tensor& noise, const PromptEmbeddings& text, const VideoRequest& request, const VideoRun& run,
                                VideoProgress& progress) const;

  /// Latents -> pictures [videos, frames, height, width, 3], about -1 to 1.
  Tensor decode(const Tensor& latents) const { return parts_.decoder(latents, *team_.whole); }

 private:
  TextToVideoParts parts_;
  std::optional<TeamTextEncoder> text_encoder_;
  Backend& backend_;
  const TeamChannels& team_;

  std::unique_ptr<Sampler> sampler(const VideoRequest& request) const;
  const LatteConfig& sizes() const;
  Shape latent_shape(const VideoRequest& request) const;
  Shape token_shape(const Shape& latents) const;
  VideoPlan plan(const Shape& tokens, const BroadcastSchedule& schedule) const;
  PromptEmbeddings encode(const VideoRequest& request, VideoProgress& progress);
  /// What is needed for it alone is given back.
  std::optional<Tensor> denoised(const VideoRequest& request, const VideoRun& run, VideoProgress& progress);
};

/// Frames of a causal VAE with so many latent ones, and the other way round (odd numbers of frames).
constexpr int64_t causal_frames(int64_t latents) { return 4 * (latents - 1) + 1; }
constexpr int64_t causal_latents(int64_t frames) { return (frames + 2) / 4 + 1; }

}  // namespace pyracast
