// The family "null": tiny videos that take no time, for drills, scale tests and trying out a cluster. It computes nothing and
// looks at no prompt, but everything around it is as with a network: noise, evaluations, teams, stops, records.
#include <algorithm>

#include "base/stopwatch.hpp"
#include "pipeline/families.hpp"

namespace pyracast {

namespace {

/// A plain colour that turns into another from the first frame to the last, and from left to right.
Video moving_colour(const VideoRequest& request, const std::vector<float>& normals) {
  Video video{int(request.frames), int(request.height), int(request.width), request.fps, {}};
  video.rgb.reserve(size_t(video.frames) * video.frame_bytes());
  for (int frame = 0; frame < video.frames; ++frame)
    for (int y = 0; y < video.height; ++y)
      for (int x = 0; x < video.width; ++x)
        for (size_t channel = 0; channel < 3; ++channel) {
          const float way = (float(frame) / float(video.frames) + float(x) / float(video.width)) / 2;
          const float normal = normals[channel] * (1 - way) + normals[channel + 3] * way;
          video.rgb.push_back(uint8_t(std::clamp(128 + 48 * normal, 0.f, 255.f)));
        }
  return video;
}

class NullPipeline : public VideoPipeline {
 public:
  /// A pure function of the noise and of the size asked for.
  VideoResult generate(const VideoRequest& request, const VideoRun& run) override {
    VideoProgress progress = run.continued ? *run.continued : VideoProgress();
    VideoResult& result = progress.result;
    result.encoded_prompt = request.prompt;
    result.latent_shape = {6, 1, 1, 1};
    result.latents = run.noise.draw(NoiseUse::latents, 0, 0, result.latent_shape);
    result.embedding_shape = {1, 1};
    result.embedding = {0};
    int saved = progress.evaluations;
    const Stopwatch time;
    for (int& step = progress.evaluations; step < request.steps;) {
      result.evaluations.emplace_back();
      if (run.keeps_step_latents) result.step_latents.insert(result.step_latents.end(), result.latents.begin(), result.latents.end());
      ++step;
      const bool due = run.keeper && run.keeper->is_due(step - saved, time.seconds(), 0);
      const Outcome agreed = run.agreed(due ? Outcome::saving : Outcome::going_on);
      if (run.keeper && agreed != Outcome::going_on) {
        run.keeper->save(progress, {});
        saved = step;
      }
      result.outcome = agreed == Outcome::saving ? Outcome::going_on : agreed;
      if (result.outcome != Outcome::going_on) return result;
    }
    if (run.decodes) decode(request, result, run.takes_frames);
    return result;
  }
  Arrival decoding(const VideoRequest& request, const VideoResult&, bool takes_frames) const override {
    return [request, takes_frames](VideoResult& result) {
      if (takes_frames) result.video = moving_colour(request, result.latents);
    };
  }

  std::vector<float> timesteps(const VideoRequest& request) const override {
    std::vector<float> all;
    for (int step = 0; step < request.steps; ++step) all.push_back(1000.f * float(request.steps - step) / float(request.steps));
    return all;
  }
  int blocks() const override { return 1; }
  BranchOrder branches() const override { return {}; }
  Shape token_shape(const VideoRequest&) const override { return {1, 1, 1, 1}; }
  VideoPlan plan(const VideoRequest&, const BroadcastSchedule& schedule) const override {
    return {TokenPlan(schedule, branches(), Axis::space)};   // there is nothing to exchange or store
  }
};

class NullModel : public VideoModel {
 public:
  NullModel() : VideoModel({}, {.height = 16, .width = 16, .frames = 4, .fps = 8, .steps = 1, .guidance = 1}) {}

  std::unique_ptr<VideoPipeline> open(Backend&, WeightStorage, const TeamChannels&, const TextSource&) const override {
    return std::make_unique<NullPipeline>();
  }

 private:
  std::optional<std::string> refusal_of_family(const VideoRequest& request) const override {
    if (request.height < 2 || request.width < 2)
      return concat("a video of ", request.height, " x ", request.width, " pixels: both must be at least 2");
    if (request.clips > 1) return concat(request.clips, " clips: only Open-Sora v1.2 continues a clip by another");
    return std::nullopt;
  }
};

}  // namespace

std::unique_ptr<VideoModel> find_null(const ModelChoice& choice) {
  require(choice.snapshot.empty() && choice.given.parts().empty(), "the null model has no parts: leave their folders out");
  require(choice.sampler.empty(), "the null model samples nothing: leave the sampler out");
  return std::make_unique<NullModel>();
}

}  // namespace pyracast
