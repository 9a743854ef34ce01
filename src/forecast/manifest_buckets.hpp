#pragma once
#include "plan/job_plan.hpp"
#include "production/video_requests.hpp"

namespace pyracast {

/// The prompts of a manifest by what their videos take, and some rows of each.
struct ManifestBuckets {
  static constexpr size_t most_rows = 64;
  std::vector<Bucket> buckets;
  std::map<VideoShape, std::vector<Prompt>> rows;   ///< the first of each bucket
  uint64_t prompts = 0, samples = 0, merged = 0, rejected = 0;
};

VideoShape shape_of(const VideoRequest& request);

/// Reads the settings' manifest as a run does, and leaves nothing behind. `see` is shown each prompt's request. Throws Error where the manifest
/// cannot be read or holds no good row.
ManifestBuckets buckets_of(const GenerateSettings& settings, const VideoRequests& requests,
                           const std::function<void(const VideoRequest&)>& see = [](const VideoRequest&) {});

/// What teams of ranks with so many cores need for a video with these settings; `model`, `settings` and `requests` must outlive it.
AskTeam team_demands(const VideoModel& model, const GenerateSettings& settings, const VideoRequests& requests, int cores_of_rank);
/// The request for a video of this shape with the longest prompt.
VideoRequest longest_request(const VideoShape& shape, const VideoRequests& requests);

}  // namespace pyracast
