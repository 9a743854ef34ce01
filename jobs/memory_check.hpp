#pragma once
#include "comm/ranks.hpp"
#include "jobs/job_settings.hpp"
#include "jobs/video_requests.hpp"
#include "pipeline/memory_plan.hpp"

namespace pyracast {

/// What videos of the run's own size take on the CPU, with the longest prompt: of a team's first rank, and of any other one.
struct TeamMemory {
  MemoryPlan first, other;
  int ranks = 1;
  int64_t bytes() const { return first.most_bytes() + (ranks - 1) * other.most_bytes(); }
};
TeamMemory plan_team_memory(const VideoModel& model, const GenerateSettings& settings, const VideoRequests& requests);

/// "15.4 MiB", "3.20 GiB".
std::string size_text(int64_t bytes);

/// "a rank takes at most 3.2 GiB for tensors (1.1 GiB of weights), at decoding".
std::string describe(const TeamMemory& memory);

/// What this rank had in use, for its log: tensors, where `backend` counts them, beside the bytes that were planned, and resident memory.
std::string describe_use(const Backend& backend, int64_t planned);

/// Throws Error that says what would fit where the teams of a node with so many ranks take more than `limit` bytes.
void check_memory(const TeamMemory& memory, int ranks_of_node, int64_t limit);

}  // namespace pyracast
