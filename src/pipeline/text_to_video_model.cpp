#include "pipeline/text_to_video_model.hpp"

namespace pyracast {

namespace {

constexpr int64_t pixels_a_token = 16;   // the VAE's 8 times the patches' 2

/// A key that a published scheduler_config.json has for another class is no mistake of the user's.
std::vector<std::string> unused_keys(const Json& scheduler, const std::string& where) {
  const auto keys = unused_sampler_keys(scheduler, where);
  if (keys.empty()) return {};
  std::string names;
  for (const std::string& key : keys) names += concat(names.empty() ? "" : ", ", key);
  return {concat(where, ": no parameters of ", value<std::string>(scheduler, "_class_name", where), ", so they have no effect: ", names)};
}

class TextToVideoModel final : public VideoModel {
 public:
  TextToVideoModel(SnapshotPaths files, VideoDefaults defaults, TextToVideoFamily family)
      : VideoModel(std::move(files), std::move(defaults)), family_(std::move(family)) {
    make_sampler(family_.scheduler, scheduler_name(), this->defaults().steps);
  }

  std::vector<std::string> notes() const override { return unused_keys(family_.scheduler, scheduler_name()); }

  std::vector<TextToEncode> texts(const VideoRequest& request) const override { return texts_of(request, family_.padding, family_.most_tokens); }

  std::unique_ptr<VideoPipeline> open(Backend& backend, WeightStorage storage, const TeamChannels& team, const TextSource& texts) const override {
    TeamTextEncoder text = open_text_encoder(text_encoder_files(), backend, storage, texts, team.whole->rank() == 0);
    TextToVideoParts parts = family_.load(files(), backend, storage);
    parts.padding = family_.padding;
    parts.most_tokens = family_.most_tokens;
    parts.scheduler = family_.scheduler;
    parts.scheduler_file = scheduler_name();
    return std::make_unique<TextToVideo>(std::move(parts), std::move(text), backend, team);
  }

 private:
  TextToVideoFamily family_;

  int64_t caption_width() const override { return family_.caption_channels; }

  std::string scheduler_name() const { return files().scheduler.empty() ? "the published scheduler" : files().scheduler.string(); }

  std::optional<std::string> refusal_of_family(const VideoRequest& request) const override {
    if (request.height < pixels_a_token || request.width < pixels_a_token || request.height % pixels_a_token || request.width % pixels_a_token)
      return concat("a video of ", request.height, " x ", request.width, " pixels: both must be multiples of ", pixels_a_token);
    if (request.clips > 1) return concat(request.clips, " clips: only Open-Sora v1.2 continues a clip by another");
    if (request.hints.aesthetic || request.hints.motion || request.hints.camera)
      return "an aesthetic score, motion score or camera motion: only Open-Sora v1.2 was trained to be told them; leave them out";
    try {
      make_sampler(family_.scheduler, scheduler_name(), request.steps, {.eta = request.eta});
    } catch (const Error& error) {
      return error.what();
    }
    return family_.frames_refusal(request.frames);
  }
};

}  // namespace

std::unique_ptr<VideoModel> text_to_video_model(SnapshotPaths files, const ModelChoice& choice, TextToVideoFamily family) {
  if (!files.scheduler.empty()) family.scheduler = read_json(files.scheduler);
  if (!choice.sampler.empty()) family.scheduler = with_sampler(family.scheduler, choice.sampler);
  const VideoDefaults defaults = VideoDefaults::from_index(files.index, files.index_file.string(), family.defaults);
  return std::make_unique<TextToVideoModel>(std::move(files), defaults, std::move(family));
}

}  // namespace pyracast
