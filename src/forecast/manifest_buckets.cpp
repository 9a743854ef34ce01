#include "forecast/manifest_buckets.hpp"

#include <algorithm>

#include "dataset/manifest.hpp"
#include "dataset/manifest_text.hpp"
#include "dataset/scratch_folder.hpp"
#include "pipeline/work_plan.hpp"
#include "production/audit.hpp"
#include "production/memory_check.hpp"
#include "runtime/device.hpp"

namespace pyracast {

VideoShape shape_of(const VideoRequest& request) { return {request.height, request.width, request.frames, request.steps, request.clips}; }

ManifestBuckets buckets_of(const GenerateSettings& settings, const VideoRequests& requests, const std::function<void(const VideoRequest&)>& see) {
  require(!settings.prompts.empty(), "which manifest to plan is not known: give --prompts FILE");
  require(!is_stream(settings.prompts.string()), "prompts is ", settings.prompts, ", expected a file: a plan reads it before the job does");
  const ScratchFolder folder;
  const Manifest manifest = Manifest::build(settings.prompts.string(), folder.path(), manifest_options(settings, requests));
  ManifestBuckets found{{}, {}, manifest.size(), manifest.total_samples(), manifest.merged(), manifest.rejected()};
  std::map<VideoShape, Bucket> buckets;
  for (uint64_t prompt = 0; prompt < manifest.size(); ++prompt) {
    const Prompt row = manifest.row(prompt);
    const VideoRequest request = requests(row);
    see(request);
    const VideoShape shape = shape_of(request);
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

/// What an audit adds to its video: a pass without reuse, whose video is decoded and compared.
VideoWork audit_of(const VideoWork& without_reuse) {
  VideoWork audit = without_reuse;
  for (const MakingPhase phase : {MakingPhase::text, MakingPhase::rest, MakingPhase::encode, MakingPhase::write}) audit[size_t(phase)] = {};
  return audit;
}

}  // namespace

AskTeam team_demands(const VideoModel& model, const GenerateSettings& settings, const VideoRequests& requests, int cores_of_rank) {
  const int idle_cores = settings.model.threads > 0 ? std::max(0, cores_of_rank - settings.model.threads) : 0;
  return [&model, &settings, &requests, idle_cores](const VideoShape& shape, TeamLayout layout) {
    const VideoRequest request = longest_request(shape, requests);
    const WeightStorage storage = weight_storage(settings.model);
    TeamDemand demand;
    try {
      const PlannedRank rank = rank_of_generate(settings, layout.ranks, layout.cfg_parallel, idle_cores);
      if (shape.clips == 1) demand.beside = rank.beside;   // further clips continue from the frames of the one before
      demand.work = plan_work(model, storage, request, requests.broadcast(), rank).work;
      if (const Audit audit(settings); audit.enabled()) {
        demand.audited = audit.share();
        demand.audit = audit_of(plan_work(model, storage, request, {}, rank).work);
      }
      const std::optional<OutputPlace> wanted = stored_outputs(settings.model);
      const auto memory_with = [&](OutputPlace place) {
        PlannedRank of = rank;
        of.stored_outputs = place;
        return plan_node_memory(model, settings.model, request, requests.broadcast(), of, settings.model.device == "cpu");
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
