#include "pipeline/video_model.hpp"

#include "pipeline/families.hpp"
#include "text/clean.hpp"

namespace pyracast {

namespace {

constexpr int64_t most_pixels = 8192;   // a side

// A family is a line here, and a file that defines what the line names.
constexpr ModelFamily families[] = {
    {"opensora-1.2", "Open-Sora v1.2", "STDiT3", "hpcai-tech/OpenSora-STDiT-v3, hpcai-tech/OpenSora-VAE-v1.2, DeepFloyd/t5-v1_1-xxl",
     "any size and length; 480 x 854, 51 frames unless said otherwise", "opensora-246, opensora-357, opensora-579", find_open_sora},
    {"latte-1", "Latte-1", "LatteTransformer3DModel", "maxin-cn/Latte-1 (all parts)", "16 frames, or an image; 512 x 512", "latte-1-236", find_latte},
    {"osp-1.1", "Open-Sora-Plan v1.1", "LatteT2V", "LanguageBind/Open-Sora-Plan-v1.1.0, DeepFloyd/t5-v1_1-xxl",
     "65 or 221 frames, or an image; 512 x 512", "osp-1.1-246", find_open_sora_plan_110},
    {"osp-1.2", "Open-Sora-Plan v1.2", "OpenSoraT2V", "LanguageBind/Open-Sora-Plan-v1.2.0, google/mt5-xxl",
     "odd numbers of frames, 29 or 93; 480 x 640 or 720 x 1280", "osp-1.2-26", find_open_sora_plan_120},
    {"null", "tiny videos in no time, for drills and measurements of scale", "", "none", "any", "none", find_null},
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
  try {
    references(request);
  } catch (const Error& error) {
    return error.what();
  }
  if (says_nothing(request.prompt))
    return "the prompt says nothing once it is cleaned as the models' training texts were: links, tags, marks and Chinese characters are taken out";
  return refusal_of_family(request);
}

References VideoModel::references(const VideoRequest& request) const {
  require(request.reference_path.empty() && request.mask_strategy.empty(), request.reference_path.empty() ? "a mask_strategy" : "a reference_path",
          ": only Open-Sora v1.2 takes frames from references; leave it out");
  return {};
}

ImageSize VideoModel::size_of(const std::string& resolution, const std::string&) const {
  fail("resolution is \"", resolution, "\", but this model has no table of named resolutions: give height and width");
}

std::span<const ModelFamily> model_families() { return families; }

std::vector<std::string> model_family_names() {
  std::vector<std::string> names;
  for (const ModelFamily& family : families) names.push_back(family.name);
  return names;
}

std::string family_of(const std::filesystem::path& snapshot, const SnapshotPaths& given) {
  std::string found;
  for (const ModelFamily& family : families) {
    if (!*family.transformer_class) continue;   // it has no files
    SnapshotLayout layout;
    layout.transformer_class = family.transformer_class;
    const std::filesystem::path folder = given.transformer.empty() ? find_transformer(snapshot, layout) : given.transformer;
    const auto config = folder / "config.json";
    if (!std::filesystem::exists(config)) continue;
    const Json json = read_json(config);
    found = value_or<std::string>(json, "_class_name", value_or<std::string>(json, "model_type", "", config.string()), config.string());
    if (found == family.transformer_class) return family.name;
  }
  require(!found.empty(), snapshot.string(), ": holds no transformer's config.json: give --model, and where its parts lie");
  fail(snapshot.string(), ": its transformer is a \"", found, "\", which no family has: give --model, one of ", model_family_names());
}

namespace {

/// The family that a snapshot's own files name, where it is not the one that was chosen; else nothing.
std::string other_family_of(const ModelChoice& choice) {
  if (!choice.on_disk) return "";
  try {
    const std::string own = family_of(choice.snapshot, choice.given);
    return own == choice.family ? "" : own;
  } catch (const Error&) {   // they name none
    return "";
  }
}

}  // namespace

std::unique_ptr<VideoModel> find_model(const ModelChoice& choice) {
  for (const ModelFamily& family : families) {
    if (choice.family != family.name) continue;
    try {
      return family.find(choice);
    } catch (const Error& error) {
      const std::string other = other_family_of(choice);
      if (other.empty()) throw;
      throw Error(concat(error.what(), "; ", choice.snapshot.string(), " is ", other, ": leave --model out, or give --model ", other), error.code);
    }
  }
  fail("model is \"", choice.family, "\", expected one of ", model_family_names());
}

}  // namespace pyracast
