#include "forecast/choose_teams.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/counted.hpp"
#include "base/memory.hpp"
#include "forecast/manifest_buckets.hpp"
#include "runtime/device.hpp"

namespace pyracast {

namespace {

constexpr const char* how_to_measure = "`mpirun -n RANKS_OF_A_NODE pyracast plan --measure FILE --config … --prompts …` makes one";

Machine machine_with(int ranks_of_node, const GenerateSettings& settings) {
  std::vector<int> measured;
  for (const Machine& machine : machines_of(settings)) {
    if (machine.ranks_per_node == ranks_of_node) return machine;
    measured.push_back(machine.ranks_per_node);
  }
  fail(setting_text(settings.machine), ": of nodes with ", measured, " ranks, but this job has ", ranks_of_node,
       " on a node, which share its memory and cores otherwise: ", how_to_measure);
}

JobPlan planned(const Ranks& ranks, const GenerateSettings& settings) {
  const std::vector<int>& of_nodes = ranks.ranks_of_nodes();
  require(std::count(of_nodes.begin(), of_nodes.end(), of_nodes.front()) == std::ptrdiff_t(of_nodes.size()),
          "ranks-per-video is auto, but nodes hold ", of_nodes, " ranks: expected as many on each");
  Machine machine = machine_with(of_nodes.front(), settings);
  const auto least_known = [](int64_t of_file, int64_t here) { return of_file > 0 ? std::min(of_file, here) : here; };
  machine.memory_per_node = least_known(machine.memory_per_node, memory_limit());
  if (settings.model.device == "cuda") machine.memory_per_gpu = least_known(machine.memory_per_gpu, open_device(settings.model)->memory().available);
  const auto model = find_model(settings.model);
  const VideoRequests requests(settings, *model);
  PlanWishes wishes;
  wishes.halves_only = settings.cfg_parallel;
  return plan_job(buckets_of(settings, requests).buckets, machine, ranks.node_count(), wishes,
                  team_demands(*model, settings, requests, machine.cores_per_rank));
}

}  // namespace

std::vector<Machine> machines_of(const GenerateSettings& settings) {
  require(!settings.machine.empty(), "what the machine takes for a video is not known: give --machine FILE (", how_to_measure, ")");
  std::vector<Machine> machines;
  for (const std::filesystem::path& file : settings.machine) {
    const Machine machine = read_machine(file);
    for (const auto& [name, measured, asked] : {std::tuple{"model", machine.model, settings.model.model},
                                                {"dtype", machine.dtype, settings.model.dtype}})
      require(measured.empty() || measured == asked, file.string(), ": was measured with ", name, " ", measured, ", but ", name, " is ", asked, ": ",
              how_to_measure);
    for (const Machine& other : machines)
      require(other.ranks_per_node != machine.ranks_per_node, file.string(), ": is of nodes with ", machine.ranks_per_node,
              " ranks, as another machine file is: name one of the two");
    machines.push_back(machine);
  }
  return machines;
}

void choose_teams(const Ranks& ranks, GenerateSettings& settings) {
  std::array<int, 2> chosen{};
  ranks.on_first([&] {
    const JobPlan plan = planned(ranks, settings);
    chosen = {plan.layout.ranks, plan.layout.cfg_parallel};
    std::fprintf(stderr, "pyracast: ranks-per-video is auto: teams of %s, about %.3g s for %s\n",
                 name_of(plan.layout).c_str(), plan.wall_seconds, counted(plan.videos, "video").c_str());
  });
  check_mpi(MPI_Bcast(chosen.data(), int(chosen.size()), MPI_INT, 0, ranks.world()), "sharing the size of teams");
  settings.ranks_per_video.ranks = chosen[0];
  settings.cfg_parallel = chosen[1];
}

}  // namespace pyracast
