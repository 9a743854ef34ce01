#include "jobs/memory_check.hpp"

#include <cstdio>

#include "base/memory.hpp"
#include "jobs/device.hpp"
#include "jobs/sample_progress.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

std::string size_text(int64_t bytes) {
  const double mib = double(bytes) / (1 << 20);
  char text[32];
  std::snprintf(text, sizeof text, mib < 1024 ? "%.1f MiB" : "%.2f GiB", mib < 1024 ? mib : mib / 1024);
  return text;
}

TeamMemory plan_team_memory(const VideoModel& model, const GenerateSettings& settings, const VideoRequests& requests) {
  VideoRequest request = requests.typical();
  request.prompt = longest_prompt();
  TeamMemory memory{{}, {}, settings.ranks_per_video};
  const auto plan_of = [&](int rank) {
    return plan_memory(model, {weight_dtype(settings.model.dtype)}, request, requests.broadcast(),
                       {rank, settings.ranks_per_video, settings.cfg_parallel}, !SaveInterval(settings.checkpoint_every).never());
  };
  memory.first = plan_of(0);
  if (memory.ranks > 1) memory.other = plan_of(1);
  return memory;
}

std::string describe(const TeamMemory& memory) {
  return concat("a rank takes at most ", size_text(memory.first.most_bytes()), " for tensors (", size_text(memory.first.weight_bytes),
                " of weights), at ", memory.first.most_is_loading() ? "loading" : memory.first.most().doing);
}

std::string describe_use(const Backend& backend, int64_t planned) {
  std::string tensors;
  if (const auto* cpu = dynamic_cast<const CpuBackend*>(&backend))
    tensors = concat(size_text(int64_t(cpu->pool().most_in_use())), " for tensors, ", size_text(planned),
                     " planned for videos of the run's own size with the longest prompt; ");
  return concat("memory, at most: ", tensors, size_text(most_resident_bytes()), " resident, files that are mapped included");
}

void check_memory(const TeamMemory& memory, int ranks_of_node, int64_t limit) {
  const int64_t teams = ranks_of_node / memory.ranks, wanted = teams * memory.bytes();
  if (wanted <= limit) return;
  const int64_t fitting = limit / memory.bytes();
  fail("videos of this size take ", size_text(memory.bytes()), " for tensors on each team of ", memory.ranks, " ranks, so ",
       size_text(wanted), " on a node with ", ranks_of_node, " ranks, which has ", size_text(limit), ": ",
       fitting > 0 ? concat("use at most ", fitting * memory.ranks, " ranks a node, ") : std::string(),
       "--dtype bfloat16 where it is not used yet, more ranks a video, or smaller videos");
}

}  // namespace pyracast
