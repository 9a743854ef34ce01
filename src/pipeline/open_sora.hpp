#pragma once
// Open-Sora v1.2 from prompt to pixels (OpenSoraPipeline of VideoSys 4cce477, opensora/scripts/inference.py of v1.2).
#include "base/video.hpp"
#include "diffusion/rectified_flow.hpp"
#include "models/open_sora_vae.hpp"
#include "models/stdit3.hpp"
#include "models/t5.hpp"
#include "pab/broadcast_policy.hpp"
#include "pipeline/noise_source.hpp"
#include "pipeline/snapshot.hpp"
#include "plan/video_plan.hpp"
#include "text/prompt.hpp"
#include "text/tokenizer.hpp"

namespace pyracast {

/// One video to make. `prompt` is as the user wrote it; loop segments and decoration are resolved here.
struct OpenSoraRequest {
  std::string prompt;
  int64_t height = 0, width = 0, frames = 0;   ///< pixels; frames of one clip
  double fps = 24;
  int steps = 30;
  double guidance = 7;
  int clips = 1;                               ///< each further one continues the one before
  PromptHints hints;                           ///< aesthetic score, motion score, camera motion
  int64_t condition_latents = 5;               ///< latent frames of the clip before that a clip continues from
  double condition_edit = 0;
  int64_t align = 5;                           ///< such frames start at multiples of this
};

/// How an evaluation of the network, or a phase, ended; the larger of two ranks' answers is the team's.
enum class Outcome { going_on = 0, stopped = 1, failed = 2 };

/// One evaluation of the network on this rank: seconds of each branch (index: Branch) and of everything else, blocks that
/// computed it, and what was sent to other ranks, or would have been for what was reused.
struct EvaluationCost {
  std::array<double, branch_count> branches{};
  double communication = 0, other = 0;
  std::array<int64_t, branch_count> computed{};
  int64_t all_to_alls = 0, all_to_all_bytes = 0, all_to_all_bytes_avoided = 0, gather_bytes = 0;
  std::array<int64_t, branch_count> branch_all_to_alls{}, branch_bytes{};   ///< of the all-to-alls, by the branch they were for
};

/// What became of a request.
struct OpenSoraResult {
  Outcome outcome = Outcome::going_on;   ///< going_on: a video was made
  std::string reason;                       ///< of a failure
  Video video;
  Shape latent_shape;                       ///< [channels, time, height, width] of the last clip
  std::vector<float> latents;
  std::vector<float> step_latents;          ///< where they are kept: after each evaluation, one behind the other
  std::string encoded_prompt;               ///< of the first clip, decorated and cleaned
  Shape embedding_shape;                    ///< [tokens, width]
  std::vector<float> embedding;             ///< of the first clip's text
  double text_seconds = 0, decode_seconds = 0;
  std::vector<EvaluationCost> evaluations;
};

/// What surrounds one call of generate().
struct OpenSoraRun {
  NoiseSource& noise;
  /// After each evaluation: this rank's progress in, the team's out. Absent: a team of one that never stops.
  std::function<Outcome(Outcome)> agree;
  Observer observe = {};
  /// Encode the padding as well, as the published pipeline does; it changes nothing but the embeddings of padding.
  bool encode_padding = false;
  BroadcastPolicy broadcast = {};
  /// Sees this rank's part of each branch output that is computed.
  BranchListener listener = {};
  bool keeps_step_latents = false;
};

/// How a model is to be used: from model_index.json where there is one, else the published defaults.
struct OpenSoraDefaults {
  int64_t height = 480, width = 854, frames = 51;
  double fps = 24;
  int steps = 30;
  double guidance = 7;
  bool use_timestep_transform = true;
  bool use_discrete_timesteps = false;
  int num_timesteps = 1000;

  static OpenSoraDefaults from_json(const Json& json, const std::string& where);
};

/// The networks of a model and how they are to be used.
struct OpenSoraParts {
  Tokenizer tokenizer;
  std::optional<T5Encoder> text_encoder;   ///< of a team's first rank, which encodes for all
  Stdit3 transformer;
  OpenSoraVae vae;
  OpenSoraDefaults defaults;
};

/// Reads a snapshot. `dtype`: how weights are kept, float32 or bfloat16; absent: as stored. Throws Error on parts that
/// are not whole or do not belong together. `encodes`: read the text encoder as well.
OpenSoraParts open_snapshot(const SnapshotPaths& paths, Backend& backend, std::optional<DType> dtype, bool encodes = true);

class OpenSora {
 public:
  /// `condition_dtype`, float32 or bfloat16: the type in which the published pipeline holds sizes and timesteps.
  /// `team` must outlive this; all its ranks call generate() with the same requests, and get the same videos.
  OpenSora(OpenSoraParts parts, Backend& backend, DType condition_dtype, const TeamChannels& team);

  /// What this rank will send and store for each clip of such a video.
  VideoPlan plan(const OpenSoraRequest& request, const BroadcastPolicy& policy) const;

  /// What of a broadcast policy never takes effect in such a video, a line each.
  std::vector<std::string> warnings(const OpenSoraRequest& request, const BroadcastPolicy& policy) const;

  /// Why a video of this size cannot be made; nothing where it can.
  static std::optional<std::string> refusal(const OpenSoraRequest& request);

  /// Makes one video. What is wrong with the prompt, or a result that is not finite, is a failure with its reason.
  OpenSoraResult generate(const OpenSoraRequest& request, const OpenSoraRun& run);

 private:
  struct EncodedText {
    Tensor embedding;            // [1, tokens, width]
    std::vector<int64_t> mask;   // [tokens]
    int64_t length = 0;          // tokens that count
  };
  struct Clip {
    Tensor latents;   // [1, channels, time, height, width]
    Tensor pixels;    // [1, 3, frames, height, width], about -1 to 1
  };

  Backend& backend_;
  DType condition_dtype_;
  OpenSoraParts parts_;
  const TeamChannels& team_;
  std::map<std::string, EncodedText> encoded_;   // the last prompt's texts: its samples follow one another

  EncodedText encode(const std::string& text, bool padding);
  RectifiedFlowSchedule schedule(const OpenSoraRequest& request) const;
  Shape latent_shape(const OpenSoraRequest& request) const;
  VideoPlan plan(const OpenSoraRequest& request, const BroadcastSchedule& broadcast) const;
  /// One clip; nothing when the team stopped or failed (then `result` says so).
  std::optional<Clip> make_clip(const OpenSoraRequest& request, const OpenSoraRun& run, int clip, const std::string& text,
                                const Tensor& previous, OpenSoraResult& result);
  std::optional<Tensor> denoise(const OpenSoraRequest& request, const OpenSoraRun& run, int clip, const EncodedText& text,
                                Tensor latents, const std::vector<float>& mask, OpenSoraResult& result,
                                const Observer& observe);
};

/// Decoder output [1, 3, frames, height, width] as 8-bit pixels: clamped to -1..1, (v + 1) / 2 * 255 + 0.5, truncated.
std::vector<uint8_t> to_pixels(const Tensor& decoded);

}  // namespace pyracast
