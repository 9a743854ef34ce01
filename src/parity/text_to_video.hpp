#pragma once
// What the cases of Latte's and Open-Sora-Plan's pipelines share.
#include "parity/case.hpp"
#include "pipeline/text_to_video.hpp"

namespace pyracast {

/// What a loop over all evaluations has shown.
struct LoopTensors {
  std::vector<Tensor> latents;                               ///< after each evaluation
  std::vector<std::pair<std::string, Tensor>> of_the_first;  ///< what else the first evaluation showed
};

/// The loop from the case's `latents`, which are noise; a sampler that draws is given the case's `step_noise`. Throws Error where
/// the loop does not come to its end.
LoopTensors loop_tensors(const Case& parity_case, const TextToVideo& pipeline, const PromptEmbeddings& text, const VideoRequest& request,
                         const BroadcastPolicy& policy);

}  // namespace pyracast
