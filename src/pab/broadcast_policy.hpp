#pragma once
#include <optional>
#include <string>

#include "base/json.hpp"
#include "pab/pyramid.hpp"

namespace pyracast {

/// What a user asks of broadcasting, from JSON: null (everything is computed), the published rule's settings, or a
/// table that was worked out elsewhere. Every policy ends in a BroadcastSchedule.
///
/// The rule, in the published implementation's names (VideoSys, PABConfig):
///   {"spatial_broadcast": true, "spatial_threshold": [450, 930], "spatial_range": 2, … temporal_*, cross_*,
///    "mlp_broadcast": true, "mlp_spatial_broadcast_config": {"676": {"block": [0, 1], "skip_count": 2}},
///    "mlp_temporal_broadcast_config": {…}}
/// The rule in diffusers' names (PyramidAttentionBroadcastConfig: "spatial_attention_block_skip_range": 2,
/// "spatial_attention_timestep_skip_range": [100, 800], temporal_*, cross_*, *_identifiers), stored before the gate.
/// Besides, in the others: "stored": "gated" (an output is kept behind its adaLN gate, as VideoSys does but for Open-Sora-Plan
/// v1.2) or "ungated" (kept before it, and each evaluation applies its own gate, as diffusers does).
/// A table, which fits one number of steps; without "blocks" all of them:
///   {"steps": 30, "reuse": [{"branch": "spatial_attention", "evaluations": [3, 5], "blocks": [0, 1]}]}
/// The branch "unconditional_half", which has no blocks, is that of guidance: at its evaluations only the prompt's half is evaluated.
/// Its "provenance", as `pyracast tune` writes it, says where it comes from and has no effect.
class BroadcastPolicy {
 public:
  /// Everything is computed.
  BroadcastPolicy() = default;
  /// `where` names the file in messages. Throws Error on unknown keys, wrong types, empty windows, and a table that
  /// reuses at evaluation 0.
  BroadcastPolicy(const Json& json, const std::string& where);

  /// What was read, for the run's fingerprint; null for none.
  const Json& json() const { return json_; }
  bool enabled() const { return !json_.is_null(); }
  /// How outputs are kept: what was read, else `usual`, the family's published way.
  StoredOutput stored_output(StoredOutput usual) const { return stored_output_.value_or(usual); }

  /// Why this policy does not fit a video of so many steps; empty where it does.
  std::string refusal(int steps) const;
  /// Why this policy does not fit videos with this guidance; empty where it does. `in_parallel`: each rank has one half of it.
  std::string refusal_of_guidance(double guidance, bool in_parallel) const;
  /// The table for one video. `timesteps`: one integer an evaluation; `steps`: what the user asked for, after which the
  /// rule's counters wrap (0: as many as evaluations). Throws Error where the policy does not fit.
  BroadcastSchedule schedule(std::span<const int64_t> timesteps, int blocks, int steps = 0) const;
  /// What never takes effect with these timesteps and blocks, in a network whose blocks have these branches: a line each, naming
  /// the nearest value that would, or the branches that there are.
  std::vector<std::string> warnings(std::span<const int64_t> timesteps, int blocks, std::span<const Branch> branches) const;

 private:
  struct Reuse {
    Branch branch;
    std::vector<int> evaluations, blocks;
    bool all_blocks = true;
  };
  Json json_;
  std::string where_;
  std::optional<StoredOutput> stored_output_;
  PabSettings rule_;
  int table_steps_ = 0;   // of a table
  std::vector<Reuse> table_;
  std::vector<int> unconditional_half_;   // evaluations that reuse it

  void read_table();
  /// Keys of branches that are not among these.
  std::vector<std::string> keys_without(std::span<const Branch> branches) const;
};

/// The published rule's settings from its JSON (null: nothing is broadcast). Throws Error naming `where`.
PabSettings pab_settings(const Json& json, const std::string& where);

/// "spatial_attention" and so on: the names of branches in files.
const char* name_of(Branch branch);
/// The unconditional half of guidance, beside them.
inline constexpr const char* unconditional_half_name = "unconditional_half";

}  // namespace pyracast
