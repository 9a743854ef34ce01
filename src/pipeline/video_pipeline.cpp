#include "pipeline/video_pipeline.hpp"

#include <algorithm>

namespace pyracast {

namespace {

/// As the published rules read them: without their fractions.
std::vector<int64_t> whole(const std::vector<float>& timesteps) { return {timesteps.begin(), timesteps.end()}; }

}  // namespace

Arrival text_arrival(const Tensor& embedding, const Moment& begun, Backend& backend) {
  const auto values = embedding.empty() ? nullptr : to_host_later<float>(embedding);
  return [&backend, begun, ended = backend.moment(), values, shape = embedding.shape()](VideoResult& result) {
    result.text_seconds += backend.seconds(begun, ended);
    if (!values) return;
    result.embedding_shape = {shape[1], shape[2]};
    result.embedding = values();
  };
}

Reference blank_reference(const std::string&, const VideoRequest& request, const WantedFrames& wanted) {
  int64_t most = 0;   // latent frames, of which a row begins before or from the end
  for (const MaskStrategyRow& row : references_of(request.prompt, request.reference_path, request.mask_strategy, request.clips).rows)
    most = std::max(most, std::abs(row.reference_start) + row.length);
  constexpr int64_t longest = 1'000'000;
  Reference reference{int(std::max(request.frames, std::min(longest, 4 * most))), {}, ""};
  const std::vector<bool> taken = wanted(reference.frames, reference.sha256);
  const auto frames = std::count(taken.begin(), taken.end(), true);
  reference.pixels.resize(size_t(frames * request.height * request.width * 3));
  return reference;
}

BroadcastSchedule VideoPipeline::schedule(const VideoRequest& request, const BroadcastPolicy& policy) const {
  if (const std::string why = policy.refusal_of_guidance(request.guidance, false); !why.empty()) throw Error(why);
  return policy.schedule(whole(timesteps(request)), blocks(), request.steps);
}

std::vector<std::string> VideoPipeline::warnings(const VideoRequest& request, const BroadcastPolicy& policy) const {
  return policy.warnings(whole(timesteps(request)), blocks(), branches());
}

}  // namespace pyracast
