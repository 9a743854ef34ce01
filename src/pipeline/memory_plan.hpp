#pragma once
#include <vector>

#include "kernels/planning_backend.hpp"
#include "pipeline/video_model.hpp"
#include "plan/beside.hpp"

namespace pyracast {

/// The memory that a rank of a team has in use for tensors while it makes a video: known beforehand from the same calls on a device
/// that only counts. What is in use on the device equals it.
struct MemoryPlan {
  /// What the team is about, in order, and the most bytes in use at once during it. Evaluations that take as much as the one
  /// before are not listed.
  struct Phase {
    std::string doing;
    int64_t most_bytes = 0;
  };
  int64_t loading_bytes = 0;   ///< the most while weights are read; with TextEncoding::offload all but the text encoder's
  int64_t weight_bytes = 0;    ///< weights, when all are read
  std::vector<Phase> phases;
  int64_t host_bytes = 0;        ///< the most of the host's memory that a GPU's stored outputs take, pinned
  Beside beside = Beside::nothing;
  int64_t leaving_bytes = 0;     ///< Beside::leaving: of the frames of the video before, till the next one is decoded

  /// The phase that takes the most, with what goes on beside it; there is none where videos take no tensors.
  const Phase& most() const;
  bool most_is_loading() const { return phases.empty() || loading_bytes > making_bytes(); }
  /// The most at any time.
  int64_t most_bytes() const { return most_is_loading() ? loading_bytes : making_bytes(); }

 private:
  int64_t decoding_bytes() const;
  /// In use besides during a phase, for the video before.
  int64_t bytes_beside(const Phase& phase) const;
  /// The most while videos are made.
  int64_t making_bytes() const { return most().most_bytes + bytes_beside(most()); }
};

/// A rank of a team: the first one also encodes the text.
struct PlannedRank {
  int rank = 0, ranks = 1;
  bool cfg_parallel = false;     ///< the halves of guidance lie on the halves of the team
  Beside beside = Beside::nothing;
  TextEncoding texts = TextEncoding::resident;
  OutputPlace stored_outputs = OutputPlace::device;
  bool saves = false;            ///< progress, behind every evaluation
  bool decodes = true;           ///< false: a video ends with its latents
  bool overlaps = false;         ///< the team's exchanges go on beside computing (Communicator)
};

/// A prompt with more words than any family's text encoder is given tokens.
const std::string& longest_prompt();

/// The plan of a rank that encodes the texts of such a video beforehand, with nothing but the text encoder there: TextEncoding::once. Of
/// models that encode texts.
MemoryPlan plan_text_encoding(const VideoModel& model, WeightStorage storage, const VideoRequest& request,
                              PlannedDevice device = PlannedDevice::cpu);

/// The plan of one rank for one video on a device. Nothing is read but configurations, names and shapes of weights, and the tokenizer. Throws
/// Error as VideoModel::open and VideoPipeline::generate do.
MemoryPlan plan_memory(const VideoModel& model, WeightStorage storage, const VideoRequest& request, const BroadcastPolicy& policy,
                       const PlannedRank& of, PlannedDevice device = PlannedDevice::cpu);

}  // namespace pyracast
