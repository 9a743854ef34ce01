#pragma once
// What every model family gives the jobs: a video for a request, and what its making will take, known beforehand.
#include <numeric>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/video.hpp"
#include "pab/broadcast_policy.hpp"
#include "pab/attention_cache.hpp"
#include "pipeline/noise_source.hpp"
#include "plan/video_plan.hpp"
#include "tensor/observer.hpp"
#include "text/prompt.hpp"

namespace pyracast {

/// One video to make. `prompt` is as the user wrote it: cleaning, loop segments and decoration are the family's.
struct VideoRequest {
  std::string prompt;
  std::string negative_prompt;                 ///< of families whose guidance has one
  int64_t height = 0, width = 0, frames = 0;   ///< pixels; frames of one clip
  double fps = 24;
  int steps = 30;
  double guidance = 7;
  double eta = 0;                              ///< DDIM: share of DDPM's noise
  // Open-Sora v1.2 alone:
  int clips = 1;                               ///< each further one continues the one before
  PromptHints hints;                           ///< aesthetic score, motion score, camera motion
  int64_t condition_latents = 5;               ///< latent frames of the clip before that a clip continues from
  double condition_edit = 0;
  int64_t align = 5;                           ///< such frames, and those of references, start at multiples of this
  std::string reference_path, mask_strategy;   ///< what frames are taken from and where they go (references_of), but for what the prompt says
};

/// How an evaluation of the network, or a phase, ended; the larger of two ranks' answers is the team's. saving: the first rank wants
/// to save how far the video has come before all go on.
enum class Outcome { going_on = 0, saving = 1, stopped = 2, failed = 3 };

/// One evaluation of the network on this rank: seconds of each branch (index: Branch) and of everything else, blocks that
/// computed it, and what was sent to other ranks, or would have been for what was reused. Where the halves of guidance are evaluated
/// one after the other, all are sums over both, and a block counts once in each.
struct EvaluationCost {
  std::array<double, branch_count> branches{};
  double communication = 0, other = 0;
  std::array<int64_t, branch_count> computed{};
  int64_t all_to_alls = 0, all_to_all_bytes = 0, all_to_all_bytes_avoided = 0, gather_bytes = 0;
  std::array<int64_t, branch_count> branch_all_to_alls{}, branch_bytes{};   ///< of the all-to-alls, by the branch they were for

  double seconds() const { return std::accumulate(branches.begin(), branches.end(), communication + other); }
};

/// What became of a request.
struct VideoResult {
  Outcome outcome = Outcome::going_on;   ///< going_on: a video was made
  std::string reason;                       ///< of a failure
  Video video;
  Shape latent_shape;                       ///< [channels, time, height, width] of the last clip
  std::vector<float> latents;
  std::vector<float> step_latents;          ///< where they are kept: after each evaluation, one behind the other
  std::string encoded_prompt;               ///< of the first clip, decorated and cleaned
  std::vector<std::string> reference_sha256;  ///< of the files that the request's references were
  Shape embedding_shape;                    ///< [tokens, width]
  std::vector<float> embedding;             ///< of the first clip's text
  double text_seconds = 0, decode_seconds = 0;
  std::vector<EvaluationCost> evaluations;
  int64_t continuations = 0;                ///< how many times a later job went on with the video
  int64_t continued_after = 0;              ///< evaluations that were made before the last of them did
};

/// Ends what a device was asked for: waits for it, no longer, and writes it into the result. Called once, in any thread.
using Arrival = std::function<void(VideoResult&)>;

/// A tensor in the host's memory.
struct HostTensor {
  Shape shape;
  std::vector<float> values;
};

/// A stored branch output: of both halves of guidance, or of one where they are evaluated one after the other.
struct StoredSite {
  Site site;
  bool unconditional = false;
  auto operator<=>(const StoredSite&) const = default;
};

/// How far the making of a video has come: all that the evaluations to come need besides the request.
struct VideoProgress {
  int clip = 0;
  int evaluations = 0;                  ///< of this clip
  HostTensor latents;                   ///< behind them
  int64_t sampler_step = 0;             ///< Sampler::State
  std::vector<HostTensor> sampler_history;
  HostTensor guidance_difference;       ///< what guidance added last, of a prediction's shape, where evaluations to come reuse it; else empty
  HostTensor previous;                  ///< pixels of the clip before, [1, 3, frames, height, width]
  VideoResult result;                   ///< so far
  Arrival text;                         ///< what is to be known of the clip's text when the device has encoded it; else empty
  /// What was stored for reuse and is still needed, where there is any, of all tokens [batch, time, space, channels], guidance's halves
  /// one behind the other; float32, in a file. While a video is made, AttentionCache holds it instead.
  std::map<StoredSite, StoredTensor> outputs;

  void let_text_arrive() {
    if (text) std::exchange(text, nullptr)(result);
  }
};

/// What is known of a text that a device was asked to encode since `begun`: seconds, and its embedding [1, tokens, width] where that is kept,
/// else empty.
Arrival text_arrival(const Tensor& embedding, const Moment& begun, Backend& backend);

/// What is stored for reuse and still needed when progress is saved: whole outputs, of which only one at a time is there.
struct StoredOutputs {
  std::vector<StoredSite> sites;
  Shape shape;                    ///< of each; see VideoProgress::outputs
  std::function<Tensor()> next;   ///< gathers the next one from the team, in the order of sites; the first rank gets it, in any shape
};

/// Where progress is kept, so that a stopped job does not begin its video anew.
class ProgressKeeper {
 public:
  virtual ~ProgressKeeper() = default;
  /// Whether it is time to save again, after so many evaluations and seconds since the last time, where that takes `saving` seconds
  /// for stored outputs.
  virtual bool is_due(int evaluations, double seconds, double saving) const = 0;
  /// How long it takes to save that many bytes of stored outputs.
  virtual double seconds_to_save(int64_t bytes) const = 0;
  /// Told before the team agrees whether to go on: how long it would take, if it stopped one evaluation later, to save then (0: it would not)
  /// and to wait for what the device has not done yet.
  virtual void foresee(double) {}
  /// Never fails: what cannot be kept is only lost if the job is stopped.
  virtual void save(const VideoProgress& progress, const StoredOutputs& outputs) noexcept = 0;
};

/// Reads the wanted frames of a file that references_of() names as pictures of the request's size. Throws Error naming the file.
using ReferenceReader = std::function<Reference(const std::string& file, const VideoRequest& request, const WantedFrames& wanted)>;

/// What surrounds one call of generate().
struct VideoRun {
  NoiseSource& noise;
  /// After each evaluation, the last of which a GPU may still be at: this rank's progress in, the team's out. Absent: a team of one that
  /// never stops.
  std::function<Outcome(Outcome)> agree;
  Observer observe = {};
  /// Absent: there is nobody who could.
  ReferenceReader read_reference = {};
  /// Open-Sora: encode the padding as well, as the published pipeline does; it changes nothing but the embeddings of padding.
  bool encode_padding = false;
  BroadcastPolicy broadcast = {};
  /// The same on every rank. The results are the same bits.
  OutputPlace stored_outputs = OutputPlace::device;
  /// Sees this rank's part of each branch output that is computed.
  BranchListener listener = {};
  /// Sees, where both halves of guidance are evaluated, what it adds: conditional - unconditional prediction, whole.
  std::function<void(const Tensor& difference)> guidance_listener = {};
  bool keeps_step_latents = false;
  /// From where the making goes on, the same on every rank; absent: from the beginning.
  const VideoProgress* continued = nullptr;
  /// Of the team's first rank; absent: nothing is kept.
  ProgressKeeper* keeper = nullptr;
  /// False: the result holds the latents, of the first clip, and no video; see VideoPipeline::decode.
  bool decodes = true;
  /// False: the result holds no frames. Of ranks whose frames nobody keeps.
  bool takes_frames = true;

  Outcome agreed(Outcome own) const { return agree ? agree(own) : own; }
};

/// Stands for reading a reference where only the work and memory of a video are looked at: black, as long as a clip or as the mask strategy needs it
/// to find its frames.
Reference blank_reference(const std::string& file, const VideoRequest& request, const WantedFrames& wanted);

/// One model, loaded. All ranks of a team call the same functions with the same requests.
class VideoPipeline {
 public:
  virtual ~VideoPipeline() = default;

  /// Makes one video, the same on every rank. What is wrong with the prompt, or a result that is not finite, is a failure with
  /// its reason.
  virtual VideoResult generate(const VideoRequest& request, const VideoRun& run) = 0;
  /// Asks for the decoding of a result that generate() left at its latents; what is returned makes it what generate() would have given, or a
  /// failure with its reason. Of requests for one clip. Where the device works beside its caller, the next video may be generated before and
  /// while the frames arrive, which lie in its memory till then, 8 bits each. Elsewhere, in a team of one, this itself may go on in one thread
  /// while another one generates the next video.
  virtual Arrival decoding(const VideoRequest& request, const VideoResult& result, bool takes_frames) const = 0;
  void decode(const VideoRequest& request, VideoResult& result, bool takes_frames = true) const {
    decoding(request, result, takes_frames)(result);
  }

  /// The timesteps of a clip, one an evaluation of the network: as many as steps, or more (PNDM).
  virtual std::vector<float> timesteps(const VideoRequest& request) const = 0;
  /// Blocks of the network that a broadcast policy counts: pairs of a spatial and a temporal one, or single ones.
  virtual int blocks() const = 0;
  /// What each of them is made of; a broadcast policy may speak of no other branch.
  virtual BranchOrder branches() const = 0;
  /// The tokens of such a clip as this rank's half of guidance, or both, has them: [batch, time, space, channels].
  virtual Shape token_shape(const VideoRequest& request) const = 0;
  /// What this rank will send and store for each clip of such a video.
  virtual VideoPlan plan(const VideoRequest& request, const BroadcastSchedule& schedule) const = 0;

  /// What is computed and what is reused in each clip of such a video.
  BroadcastSchedule schedule(const VideoRequest& request, const BroadcastPolicy& policy) const;
  /// What of a broadcast policy never takes effect in such a video, a line each.
  std::vector<std::string> warnings(const VideoRequest& request, const BroadcastPolicy& policy) const;
};

}  // namespace pyracast
