#include "jobs/manifest_buckets.hpp"

#include "dataset/manifest.hpp"
#include "dataset/scratch_folder.hpp"
#include "jobs/audit.hpp"
#include "jobs/device.hpp"
#include "jobs/memory_check.hpp"
#include "pipeline/work_plan.hpp"

namespace pyracast {

VideoShape shape_of(const VideoRequest& request) { return {request.height, request.width, request.frames, request.steps, request.clips}; }

ManifestBuckets buckets_of(const GenerateSettings& settings, const VideoRequests& requests) {
  require(!settings.prompts.empty(), "which manifest to plan is not known: give --prompts FILE");
  require(settings.prompts != "-", "prompts is \"-\", expected a file: a plan reads it before the job does");
  const ScratchFolder folder;
  const Manifest manifest = Manifest::build(settings.prompts.string(), folder.path(), manifest_options(settings, requests));
  ManifestBuckets found{{}, {}, manifest.size(), manifest.total_samples(), manifest.merged(), manifest.rejected()};
  std::map<VideoShape, Bucket> buckets;
  for (uint64_t prompt = 0; prompt < manifest.size(); ++prompt) {
    const Prompt row = manifest.row(prompt);
    const VideoShape shape = shape_of(requests(row));
    Bucket& bucket = buckets[shape];
    bucket.shape = shape;
    ++bucket.prompts[row.samples];
    if (auto& rows = found.rows[shape]; rows.size() < ManifestBuckets::most_rows) rows.push_back(row);
  }
  for (auto& [shape, bucket] : buckets) found.buckets.push_back(std::move(bucket));
  return found;
}

VideoRequest longest_request(const VideoShape& shape, const VideoRequests& requests) {
  VideoRequest request = requests.typical();
  request.prompt = longest_prompt();
  request.height = shape.height, request.width = shape.width, request.frames = shape.frames;
  request.steps = shape.steps, request.clips = shape.clips;
  return request;
}

namespace {

/// `work` with what audits add to the mean video: a pass without reuse, whose video is decoded and compared.
void add_audits(VideoWork& work, const VideoWork& without_reuse, double share) {
  for (size_t phase = size_t(MakingPhase::text) + 1; phase <= size_t(MakingPhase::decode); ++phase) {
    work[phase].calls += share * without_reuse[phase].calls;
    work[phase].work += share * without_reuse[phase].work;
  }
}

}  // namespace

AskTeam team_demands(const VideoModel& model, const GenerateSettings& settings, const VideoRequests& requests) {
  return [&model, &settings, &requests](const VideoShape& shape, TeamLayout layout) {
    const VideoRequest request = longest_request(shape, requests);
    const WeightStorage storage = weight_storage(settings.model);
    TeamDemand demand;
    try {
      const bool overlaps = transport_of(settings.comm, settings.model.device, layout.ranks) == Transport::nccl;
      const PlannedRank rank{.ranks = layout.ranks, .cfg_parallel = layout.cfg_parallel, .overlaps = overlaps};
      demand.work = plan_work(model, storage, request, requests.broadcast(), rank).work;
      if (const Audit audit(settings); audit.enabled()) add_audits(demand.work, plan_work(model, storage, request, {}, rank).work, audit.share());
      const std::optional<OutputPlace> wanted = stored_outputs(settings.model);
      const auto memory_with = [&](OutputPlace place) {
        PlannedRank of = rank;
        of.stored_outputs = place;
        return plan_node_memory(model, settings, request, requests.broadcast(), of, settings.model.device == "cpu");
      };
      const NodeMemory memory = memory_with(wanted.value_or(OutputPlace::device));
      demand.once_bytes = memory.videos.bytes_once();
      demand.first_bytes = memory.videos.first.most_bytes();
      if (layout.ranks > 1) demand.other_bytes = memory.videos.other.most_bytes();
      demand.host_bytes = memory.videos.host_bytes_of_team();
      demand.may_offload = !wanted;
      if (wanted != OutputPlace::host && settings.model.device == "cuda" && requests.broadcast().enabled()) {
        const NodePhase videos = memory_with(OutputPlace::host).videos;
        demand.offloaded = {videos.first.most_bytes(), layout.ranks > 1 ? videos.other.most_bytes() : 0, videos.host_bytes_of_team()};
      }
      if (memory.texts) demand.text_bytes = memory.texts->first.most_bytes(), demand.text_once_bytes = memory.texts->bytes_once();
    } catch (const Error& error) {
      demand.refusal = error.what();
    }
    return demand;
  };
}

}  // namespace pyracast
