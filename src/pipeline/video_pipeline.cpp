#include "pipeline/video_pipeline.hpp"

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

Reference blank_reference(const std::string&, const VideoRequest& request) {
  Video video{int(request.frames), int(request.height), int(request.width)};
  video.rgb.resize(size_t(video.frames) * video.frame_bytes());
  return {std::move(video), ""};
}

BroadcastSchedule VideoPipeline::schedule(const VideoRequest& request, const BroadcastPolicy& policy) const {
  if (const std::string why = policy.refusal_of_guidance(request.guidance, false); !why.empty()) throw Error(why);
  return policy.schedule(whole(timesteps(request)), blocks(), request.steps);
}

std::vector<std::string> VideoPipeline::warnings(const VideoRequest& request, const BroadcastPolicy& policy) const {
  return policy.warnings(whole(timesteps(request)), blocks(), branches());
}

}  // namespace pyracast
