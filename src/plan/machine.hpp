#pragma once
// What a machine takes for the videos of a model: written by `pyracast plan --measure`, or by hand.
#include <compare>
#include <map>
#include <string>

#include "base/json.hpp"
#include "plan/phase_cost.hpp"

namespace pyracast {

/// How ranks of a node make a video together.
struct TeamLayout {
  int ranks = 1;
  bool cfg_parallel = false;   ///< the halves of guidance lie on the halves of the team
  auto operator<=>(const TeamLayout&) const = default;
};
std::string name_of(TeamLayout layout);   ///< "2 ranks", "2 ranks in halves"

/// All layouts of teams that divide so many ranks of a node: 1, 2 …, from 2 on also in halves where that can be.
std::vector<TeamLayout> layouts_of(int ranks_of_node);

/// What teams of one layout take while they fill a node.
struct LayoutCosts {
  MakingCosts phases{};
  double start_up = 0;       ///< seconds of a job besides its videos: reading weights, first calls, index files
  double spread = 0;         ///< standard deviation of a video's seconds over what is predicted
  double error = 0;          ///< largest relative error of the fit, of the mean of any size that was measured
  double least_work = 0, most_work = 0;   ///< multiply-adds of a video: of the sizes that were measured; 0: not known
};

struct Machine {
  int nodes = 1, ranks_per_node = 1, cores_per_rank = 1, gpus_per_rank = 0;
  int64_t memory_per_node = 0, memory_per_gpu = 0;    ///< bytes; 0: not known
  double exchange_seconds = 0, exchange_rate = 0;     ///< of an all-to-all: latency, bytes a second that a rank sends; a rate of 0: not known
  std::string model, dtype, device;                   ///< that it was measured with
  std::map<TeamLayout, LayoutCosts> layouts;          ///< at least {1, false}
  PhaseCost video_bytes, shard_bytes;                 ///< of an MP4 by its pixels, of a shard's row by its evaluations; arrays come on top
  double shard_file_bytes = 0;                        ///< of a shard without rows
  double video_bytes_spread = 0;                      ///< standard deviation of an MP4's bytes over what is predicted

  /// The costs of a layout, and whether they were measured: else those of one rank for a rank's share of the work, with all-to-alls by
  /// their latency and rate, as far as these are known.
  struct Costs {
    LayoutCosts costs;
    bool measured = false;
  };
  Costs costs_of(TeamLayout layout) const;
};

/// Throws Error naming `where` and what is wrong: a key that is missing or of another type, a number that cannot be.
Machine machine_from_json(const Json& json, const std::string& where);
Machine read_machine(const std::filesystem::path& file);
Json to_json(const Machine& machine);

}  // namespace pyracast
