#pragma once
#include <gtest/gtest.h>

#include <map>

#include "pipeline/video_model.hpp"
#include "tests/base/support.hpp"
#include "tests/models/tiny_snapshots.hpp"

namespace pyracast {

/// A test of each family, by its name: the demo model of Open-Sora, tiny random ones of the others.
struct FamilyTest : testing::TestWithParam<const char*> {
  static const VideoModel& model() {
    static const TemporaryFolder folder;
    static std::map<std::string, std::unique_ptr<VideoModel>> models;
    const std::string family = GetParam();
    std::unique_ptr<VideoModel>& found = models[family];
    if (found) return *found;
    const std::filesystem::path snapshot = family == "opensora-1.2" ? std::filesystem::path(DEMO_SNAPSHOT) : folder / family;
    if (family != "opensora-1.2") write_tiny_snapshot(family, snapshot, DEMO_SNAPSHOT);
    return *(found = find_model({family, snapshot}));
  }

  static VideoRequest request(int steps = 5) {
    const VideoDefaults& d = model().defaults();
    return {.prompt = "A red circle, moving left.", .negative_prompt = "blurry", .height = d.height, .width = d.width, .frames = d.frames,
            .fps = d.fps, .steps = steps, .guidance = d.guidance};
  }
};

}  // namespace pyracast
