#include "pipeline/video_model.hpp"

#include "pipeline/families.hpp"

namespace pyracast {

namespace {

constexpr int64_t most_pixels = 8192;   // a side

/// A family is a line here, and a file that defines what the line names.
struct Family {
  const char* name;
  std::unique_ptr<VideoModel> (*find)(const ModelChoice& choice);
};
constexpr Family families[] = {
    {"opensora-1.2", find_open_sora},
    {"latte-1", find_latte},
    {"osp-1.1", find_open_sora_plan_110},
    {"osp-1.2", find_open_sora_plan_120},
};

}  // namespace

VideoDefaults VideoDefaults::from_index(const Json& index, const std::string& where, const VideoDefaults& published) {
  VideoDefaults d = published;
  d.height = value_or(index, "height", d.height, where);
  d.width = value_or(index, "width", d.width, where);
  d.frames = value_or(index, "num_frames", d.frames, where);
  d.fps = value_or(index, "fps", d.fps, where);
  d.steps = value_or(index, "num_sampling_steps", d.steps, where);
  d.guidance = value_or(index, "cfg_scale", d.guidance, where);
  d.negative_prompt = value_or(index, "negative_prompt", d.negative_prompt, where);
  return d;
}

std::optional<std::string> VideoModel::refusal(const VideoRequest& request) const {
  if (request.height > most_pixels || request.width > most_pixels)
    return concat("a video of ", request.height, " x ", request.width, " pixels: at most ", most_pixels, " x ", most_pixels, " can be made");
  if (request.frames < 1) return concat("a video of ", request.frames, " frames: at least 1 is needed");
  if (request.steps < 1) return concat(request.steps, " denoising steps: at least 1 is needed");
  if (request.clips < 1) return concat(request.clips, " clips: at least 1 is needed");
  if (!(request.fps > 0 && request.fps <= 1000)) return concat(request.fps, " frames a second: expected more than 0, at most 1000");
  return refusal_of_family(request);
}

ImageSize VideoModel::size_of(const std::string& resolution, const std::string&) const {
  fail("resolution is \"", resolution, "\", but this model has no table of named resolutions: give height and width");
}

std::vector<std::string> model_families() {
  std::vector<std::string> names;
  for (const Family& family : families) names.push_back(family.name);
  return names;
}

std::unique_ptr<VideoModel> find_model(const ModelChoice& choice) {
  for (const Family& family : families)
    if (choice.family == family.name) return family.find(choice);
  fail("model is \"", choice.family, "\", expected one of ", model_families());
}

}  // namespace pyracast
