#include "pipeline/planned_video.hpp"

#include "diffusion/rectified_flow.hpp"
#include "diffusion/timestep_grid.hpp"

namespace pyracast {

namespace {

constexpr int64_t pixels_per_token = 16;   // the VAE's 8 times the patches' 2, in all three families

PlannedVideo open_sora(const PlannedSize& size, DType dtype) {
  const int64_t chunks = size.frames / 17, rest = size.frames % 17;
  const ClipSize clip{double(size.height), double(size.width), double(size.frames)};
  return {.order = open_sora_branches(), .published = Axis::space, .time = chunks * 5 + (rest + 3) / 4,
          .timesteps = rectified_flow_schedule({.steps = size.steps}, clip, dtype).integer_timesteps()};
}

PlannedVideo latte(const PlannedSize& size, DType) {   // each frame is a latent one
  return {.order = latte_branches(), .published = Axis::time, .time = size.frames, .timesteps = leading_timesteps(size.steps)};
}

PlannedVideo open_sora_plan_110(const PlannedSize& size, DType) {
  return {.order = latte_branches(), .published = Axis::time, .time = (size.frames + 2) / 4 + 1,
          .timesteps = pndm_timesteps(size.steps)};
}

struct Family {
  const char* name;
  PlannedSize published;
  PlannedVideo (*video)(const PlannedSize& size, DType dtype);
};

constexpr Family families[] = {
    {"opensora-1.2", {480, 854, 51, 30}, open_sora},
    {"latte-1", {512, 512, 16, 50}, latte},
    {"osp-1.1", {512, 512, 65, 150}, open_sora_plan_110},
};

}  // namespace

PlannedVideo planned_video(const std::string& name, PlannedSize size, DType dtype) {
  std::vector<std::string> names;
  for (const Family& family : families) {
    names.push_back(family.name);
    if (name != family.name) continue;
    if (!size.height) size.height = family.published.height;
    if (!size.width) size.width = family.published.width;
    if (!size.frames) size.frames = family.published.frames;
    if (!size.steps) size.steps = family.published.steps;
    require(size.height >= pixels_per_token && size.width >= pixels_per_token && size.frames >= 1 && size.steps >= 1, "a video of ",
            size.height, " x ", size.width, " pixels, ", size.frames, " frames and ", size.steps, " steps: expected at least ",
            pixels_per_token, " x ", pixels_per_token, " pixels, a frame and a step");
    PlannedVideo video = family.video(size, dtype);
    const auto tokens = [](int64_t pixels) { return (pixels / 8 + 1) / 2; };
    video.space = tokens(size.height) * tokens(size.width);
    video.steps = size.steps;
    return video;
  }
  fail("the model \"", name, "\" cannot be planned; those that can are ", names);
}

}  // namespace pyracast
