#include "pipeline/planned_video.hpp"

#include "diffusion/rectified_flow.hpp"
#include "diffusion/sampler.hpp"

namespace pyracast {

namespace {

constexpr int64_t pixels_per_token = 16;   // the VAE's 8 times the patches' 2, in all families

PlannedVideo open_sora(const PlannedSize& size, DType dtype) {
  require(size.sampler.empty(), "sampler is \"", size.sampler, "\", but Open-Sora v1.2 predicts a flow: only its own sampler fits it");
  const int64_t chunks = size.frames / 17, rest = size.frames % 17;
  const ClipSize clip{double(size.height), double(size.width), double(size.frames)};
  return {.order = open_sora_branches(), .published = Axis::space, .time = chunks * 5 + (rest + 3) / 4,
          .timesteps = rectified_flow_schedule({.steps = size.steps}, clip, dtype).integer_timesteps()};
}

/// Without their fractions, as the rules read them. `published`: the class of the family's sampler.
std::vector<int64_t> timesteps_of(const char* published, const PlannedSize& size) {
  const Json config{{"_class_name", published}};
  const auto sampler = make_sampler(size.sampler.empty() ? config : with_sampler(config, size.sampler), "the published scheduler", size.steps);
  return {sampler->timesteps().begin(), sampler->timesteps().end()};
}

PlannedVideo latte(const PlannedSize& size, DType) {   // each frame is a latent one
  return {.order = latte_branches(), .published = Axis::time, .time = size.frames, .timesteps = timesteps_of("DDIMScheduler", size)};
}

PlannedVideo open_sora_plan_110(const PlannedSize& size, DType) {
  return {.order = latte_branches(), .published = Axis::time, .time = (size.frames + 2) / 4 + 1,
          .timesteps = timesteps_of("PNDMScheduler", size)};
}

PlannedVideo open_sora_plan_120(const PlannedSize& size, DType) {
  return {.order = single_block_branches(), .published = Axis::space, .blocks = 32, .time = (size.frames + 2) / 4 + 1, .hidden = 2304,
          .heads = 24, .timesteps = timesteps_of("EulerAncestralDiscreteScheduler", size)};
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
    {"osp-1.2", {480, 640, 93, 100}, open_sora_plan_120},
};

}  // namespace

VideoPlan plan_video(const PlannedVideo& video, const BroadcastSchedule& schedule, const TokenParts& parts, int rank, int64_t token_bytes,
                     Placement placement) {
  return plan_halves(schedule, parts.batch, [&](const BroadcastSchedule& of_run, int64_t batch) {
    const TokenParts own{batch, parts.time, parts.space, parts.ranks, batch == parts.batch ? parts.turns : 1};
    if (video.heads) return plan_video_over_heads(of_run, own, rank, token_bytes, video.heads);
    if (placement == Placement::least) return plan_video(of_run, video.order, own, rank, token_bytes, video.published);
    return plan_video(of_run, TokenPlan(of_run, video.order, video.published), own, rank, token_bytes, video.published);
  });
}

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
