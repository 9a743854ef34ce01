#include "production/video_requests.hpp"

#include <cmath>
#include <cstdio>

#include "runtime/step_lines.hpp"
#include "settings/presets.hpp"

namespace pyracast {

namespace {

constexpr double usual_aesthetic = 6.5;   // of Open-Sora v1.2's published pipeline

std::optional<ImageSize> size_of(const VideoModel& model, const std::optional<int64_t>& height, const std::optional<int64_t>& width,
                                 const std::optional<std::string>& resolution,
                                 const std::optional<std::string>& aspect_ratio, const std::string& default_ratio) {
  require(height.has_value() == width.has_value(), "height and width must be given together");
  require(!height || !resolution, "give either height and width or a resolution, not both");
  require(!aspect_ratio || resolution, "aspect-ratio needs a resolution beside it");
  if (height) return ImageSize{*height, *width};
  if (resolution) return model.size_of(*resolution, aspect_ratio.value_or(default_ratio));
  return std::nullopt;
}

template <class T>
std::optional<int64_t> as_int64(const std::optional<T>& value) {
  return value ? std::optional<int64_t>(*value) : std::nullopt;
}

Prompt plain_prompt() {
  Prompt plain;
  plain.text = "a prompt";
  return plain;
}

/// Throws Error on settings that no row could say for itself, or that are none.
void require_in_limits(const GenerateSettings& s) {
  const auto hold = [](const char* column, const auto& setting) {
    if (setting) require_in_column(column, *setting);
  };
  hold("negative_prompt", s.negative_prompt);
  hold("width", s.width);
  hold("height", s.height);
  hold("resolution", s.resolution);
  hold("aspect_ratio", s.aspect_ratio);
  hold("frames", s.frames);
  hold("fps", s.fps);
  hold("steps", s.steps);
  hold("guidance", s.guidance);
  hold("aesthetic", s.aesthetic);
  hold("motion", s.motion);
  hold("camera", s.camera);
  hold("mask_strategy", s.mask_strategy);
  constexpr int most_clips = 10000;
  const auto is_share = [](double x) { return x >= 0 && x <= 1; };
  require(is_share(s.eta), "eta is ", s.eta, ", expected 0 to 1");
  require(s.clips >= 1 && s.clips <= most_clips, "clips is ", s.clips, ", expected 1 to ", most_clips);
  require(s.condition_latents >= 0, "condition-latents is ", s.condition_latents, ", expected 0 or more");
  require(is_share(s.condition_edit), "condition-edit is ", s.condition_edit, ", expected 0 to 1");
}

/// "2/8": part 2 of 8.
std::pair<uint64_t, uint64_t> part_of(const std::string& text) {
  unsigned long long part = 0, parts = 0;
  int length = 0;
  require(std::sscanf(text.c_str(), "%llu/%llu%n", &part, &parts, &length) == 2 && size_t(length) == text.size() && part < parts,
          "part is \"", text, "\", expected K/N with K from 0 to N - 1");
  return {part, parts};
}

}  // namespace

VideoRequests::VideoRequests(const GenerateSettings& settings, const VideoModel& model)
    : settings_(settings), model_(model), broadcast_(broadcast_policy(settings.broadcast)) {
  require_in_limits(settings);
  if (const auto why = refusal(plain_prompt())) fail("the settings make no video: ", *why);
}

VideoRequest VideoRequests::operator()(const Prompt& row) const {
  const GenerateSettings& s = settings_;
  const std::string default_ratio = s.aspect_ratio.value_or("9:16");
  const VideoDefaults& defaults = model_.defaults();
  VideoRequest request;
  request.prompt = row.text;
  request.negative_prompt = row.negative_prompt ? *row.negative_prompt : s.negative_prompt.value_or(defaults.negative_prompt);
  const auto own = size_of(model_, as_int64(row.height), as_int64(row.width), row.resolution, row.aspect_ratio, default_ratio);
  const auto run = size_of(model_, s.height, s.width, s.resolution, s.aspect_ratio, default_ratio);
  const ImageSize size = own ? *own : run ? *run : ImageSize{defaults.height, defaults.width};
  request.height = size.height;
  request.width = size.width;
  request.fps = row.fps ? *row.fps : s.fps.value_or(defaults.fps);
  request.frames = row.frames    ? *row.frames
                   : row.seconds ? std::max<int64_t>(1, std::llround(*row.seconds * request.fps))
                                 : s.frames.value_or(defaults.frames);
  request.steps = row.steps ? *row.steps : s.steps.value_or(defaults.steps);
  request.guidance = row.guidance ? *row.guidance : s.guidance.value_or(defaults.guidance);
  request.eta = s.eta;
  request.clips = s.clips;
  request.condition_latents = s.condition_latents;
  request.condition_edit = s.condition_edit;
  const double aesthetic = row.aesthetic ? *row.aesthetic : s.aesthetic.value_or(model_.takes_hints() ? usual_aesthetic : 0);
  if (aesthetic != 0) request.hints.aesthetic = aesthetic;
  request.hints.motion = row.motion ? row.motion : s.motion;
  request.hints.camera = row.camera ? row.camera : s.camera;
  request.reference_path = row.reference_path.value_or("");
  request.mask_strategy = row.mask_strategy ? *row.mask_strategy : row.reference_path ? s.mask_strategy.value_or("") : "";
  return request;
}

VideoRequest VideoRequests::typical() const { return (*this)(plain_prompt()); }

std::optional<std::string> VideoRequests::refusal(const Prompt& row) const {
  try {
    const VideoRequest request = (*this)(row);
    if (const std::string why = broadcast_.refusal(request.steps); !why.empty()) return why;
    if (const std::string why = broadcast_.refusal_of_guidance(request.guidance, settings_.cfg_parallel); !why.empty()) return why;
    return model_.refusal(request);
  } catch (const Error& error) {
    return error.what();
  }
}

double VideoRequests::cost(const VideoRequest& request) {
  return double(request.height) * double(request.width) * double(request.frames) * request.steps * request.clips;
}

ManifestOptions manifest_options(const GenerateSettings& settings, const VideoRequests& requests) {
  const auto [part, parts] = part_of(settings.part);
  return {.strict = settings.strict, .part = part, .parts = parts, .check = [&](const Prompt& row) { return requests.refusal(row); },
          .cost = [&](const Prompt& row) { return requests.cost(row); }, .tell = StepLines()};
}

}  // namespace pyracast
