#include "pab/broadcast_policy.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <regex>

#include "base/error.hpp"

namespace pyracast {

namespace {

BroadcastRange range_of(const Json& json, const std::string& kind, const std::string& where) {
  BroadcastRange range;
  range.enabled = value_or(json, (kind + "_broadcast").c_str(), false, where);
  if (!range.enabled) return range;
  range.range = value<int>(json, (kind + "_range").c_str(), where);
  const auto window = value<std::vector<int64_t>>(json, (kind + "_threshold").c_str(), where);
  require(range.range > 0, where, ": ", kind, "_range is ", range.range, ", expected 1 (compute always) or more");
  require(window.size() == 2 && window[0] < window[1], where, ": ", kind, "_threshold is ", window,
          ", expected [low, high], timesteps between which outputs are reused (0 to 1000)");
  range.low = window[0];
  range.high = window[1];
  return range;
}

std::vector<MlpBroadcast> mlp_keys(const Json& json, const char* name, const std::string& where) {
  std::vector<MlpBroadcast> keys;
  if (!json.contains(name) || json.at(name).is_null()) return keys;
  for (const auto& [timestep, entry] : json.at(name).items()) {
    MlpBroadcast key{0, value<std::vector<int>>(entry, "block", where), value<int>(entry, "skip_count", where)};
    const auto [end, error] = std::from_chars(timestep.data(), timestep.data() + timestep.size(), key.timestep);
    require(error == std::errc() && end == timestep.data() + timestep.size(), where, ": ", name, ": \"", timestep,
            "\" is no timestep (an integer from 0 to 1000)");
    require(key.skip_count >= 0, where, ": ", name, ": skip_count is ", key.skip_count, ", expected 0 or more");
    keys.push_back(std::move(key));
  }
  return keys;
}

void check_keys(const Json& json, std::initializer_list<const char*> known, const std::string& where) {
  require(json.is_object(), where, ": is ", json.type_name(), ", expected an object");
  for (const auto& [key, item] : json.items())
    require(std::find(known.begin(), known.end(), key) != known.end(), where, ": \"", key,
            "\" is not known; a broadcast file holds the keys of the published PABConfig, or \"steps\" and \"reuse\"");
}

/// One kind of diffusers' PyramidAttentionBroadcastConfig; off where its range is null.
BroadcastRange diffusers_range(const Json& json, const std::string& kind, const std::string& where) {
  const std::string key = kind + "_attention_block_skip_range", window_key = kind + "_attention_timestep_skip_range";
  if (!json.contains(key) || json.at(key).is_null()) return {};
  const auto window = value_or(json, window_key.c_str(), std::vector<int64_t>{100, 800}, where);
  require(window.size() == 2 && window[0] < window[1], where, ": ", window_key, " is ", window, ", expected [low, high]");
  BroadcastRange range{true, value<int>(json, key.c_str(), where), window[0], window[1]};
  require(range.range > 0, where, ": ", key, " is ", range.range, ", expected 1 (compute always) or more");
  return range;
}

/// diffusers finds modules by regular expressions that are searched in their names, spatial ones first: its default ones find
/// the temporal blocks of Latte as well, which then follow the spatial range.
PabSettings diffusers_settings(const Json& json, const std::string& where) {
  check_keys(json, {"spatial_attention_block_skip_range", "temporal_attention_block_skip_range", "cross_attention_block_skip_range",
                    "spatial_attention_timestep_skip_range", "temporal_attention_timestep_skip_range", "cross_attention_timestep_skip_range",
                    "spatial_attention_block_identifiers", "temporal_attention_block_identifiers", "cross_attention_block_identifiers"}, where);
  const auto finds = [&](const char* kind, std::vector<std::string> usual, const char* module) {
    const auto names = value_or(json, concat(kind, "_attention_block_identifiers").c_str(), usual, where);
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      try {
        return std::regex_search(module, std::regex(name));
      } catch (const std::regex_error& error) {
        fail(where, ": the identifier \"", name, "\" is no regular expression: ", error.what());
      }
    });
  };
  constexpr const char *spatial_block = "transformer_blocks.0", *temporal_block = "temporal_transformer_blocks.0";
  const std::vector<std::string> spatial_names{"blocks", "transformer_blocks", "single_transformer_blocks", "layers", "visual_transformer_blocks"};
  PabSettings settings;
  const BroadcastRange spatial = diffusers_range(json, "spatial", where), temporal = diffusers_range(json, "temporal", where);
  const auto of = [&](const char* block) {
    if (spatial.enabled && finds("spatial", spatial_names, block)) return spatial;
    return temporal.enabled && finds("temporal", {"temporal_transformer_blocks"}, block) ? temporal : BroadcastRange();
  };
  settings.spatial = of(spatial_block);
  settings.temporal = of(temporal_block);
  if (finds("cross", {"blocks", "transformer_blocks", "layers"}, spatial_block)) settings.cross = diffusers_range(json, "cross", where);
  return settings;
}

Branch branch_named(const std::string& name, const std::string& where) {
  for (int i = 0; i < branch_count; ++i)
    if (name == name_of(Branch(i))) return Branch(i);
  fail(where, ": the branch \"", name, "\" does not exist (spatial_ or temporal_ before attention, cross or mlp; unconditional_half)");
}

}  // namespace

const char* name_of(Branch branch) {
  constexpr const char* names[branch_count] = {"spatial_attention", "temporal_attention", "spatial_cross",
                                               "temporal_cross",    "spatial_mlp",        "temporal_mlp"};
  return names[int(branch)];
}

bool is_diffusers_pab(const Json& json) {
  return json.is_object() && (json.contains("spatial_attention_block_skip_range") || json.contains("temporal_attention_block_skip_range") ||
                              json.contains("cross_attention_block_skip_range"));
}

PabSettings pab_settings(const Json& json, const std::string& where) {
  PabSettings settings;
  if (json.is_null()) return settings;
  if (is_diffusers_pab(json)) return diffusers_settings(json, where);
  settings.spatial = range_of(json, "spatial", where);
  settings.temporal = range_of(json, "temporal", where);
  settings.cross = range_of(json, "cross", where);
  settings.mlp = value_or(json, "mlp_broadcast", false, where);
  settings.spatial_mlp = mlp_keys(json, "mlp_spatial_broadcast_config", where);
  settings.temporal_mlp = mlp_keys(json, "mlp_temporal_broadcast_config", where);
  return settings;
}

BroadcastPolicy::BroadcastPolicy(const Json& json, const std::string& where) : json_(json), where_(where) {
  if (json.is_null()) return;
  if (json.is_object() && json.contains("stored")) {
    const auto stored = value<std::string>(json, "stored", where);
    require(stored == "gated" || stored == "ungated", where, ": \"stored\" is \"", stored, "\", expected gated or ungated");
    stored_output_ = stored == "ungated" ? StoredOutput::ungated : StoredOutput::gated;
  }
  if (json.is_object() && json.contains("reuse")) {
    read_table();
    return;
  }
  if (is_diffusers_pab(json)) {
    rule_ = pab_settings(json, where);
    stored_output_ = StoredOutput::ungated;
    return;
  }
  check_keys(json, {"spatial_broadcast", "spatial_threshold", "spatial_range", "temporal_broadcast", "temporal_threshold",
                    "temporal_range", "cross_broadcast", "cross_threshold", "cross_range", "stored", "mlp_broadcast",
                    "mlp_spatial_broadcast_config", "mlp_temporal_broadcast_config"}, where);
  rule_ = pab_settings(json, where);
}

void BroadcastPolicy::read_table() {
  json_.erase("provenance");
  check_keys(json_, {"steps", "reuse", "stored"}, where_);
  table_steps_ = value<int>(json_, "steps", where_);
  require(table_steps_ > 0, where_, ": \"steps\" is ", table_steps_, ", expected the number of evaluations of a video");
  for (const Json& entry : value<std::vector<Json>>(json_, "reuse", where_)) {
    check_keys(entry, {"branch", "evaluations", "blocks"}, where_);
    const auto name = value<std::string>(entry, "branch", where_);
    const auto evaluations = value<std::vector<int>>(entry, "evaluations", where_);
    for (const int evaluation : evaluations)
      require(evaluation > 0 && evaluation < table_steps_, where_, ": reuses ", name, " at evaluation ", evaluation, ", expected 1 to ",
              table_steps_ - 1, " (the first has nothing to reuse)");
    if (name == unconditional_half_name) {
      require(!entry.contains("blocks"), where_, ": names blocks of ", name, ", which is reused as a whole: leave \"blocks\" out");
      unconditional_half_.insert(unconditional_half_.end(), evaluations.begin(), evaluations.end());
      continue;
    }
    table_.push_back({branch_named(name, where_), evaluations, value_or(entry, "blocks", std::vector<int>(), where_), !entry.contains("blocks")});
  }
}

std::string BroadcastPolicy::refusal(int steps) const {
  if (!table_steps_ || steps == table_steps_) return {};
  return concat(where_, " is a table of ", table_steps_, " steps, and the video has ", steps, ": use ", table_steps_,
                " steps, or a rule instead of a table");
}

std::string BroadcastPolicy::refusal_of_guidance(double guidance, bool in_parallel) const {
  if (unconditional_half_.empty()) return {};
  if (guidance <= 1)
    return concat(where_, " reuses the ", unconditional_half_name, " of guidance, but guidance is ", guidance,
                  ", expected more than 1: raise it, or leave the entry out");
  if (in_parallel)
    return concat(where_, " reuses the ", unconditional_half_name, " of guidance, but with cfg-parallel other ranks evaluate it meanwhile: leave "
                  "cfg-parallel out, or the entry");
  return {};
}

BroadcastSchedule BroadcastPolicy::schedule(std::span<const int64_t> timesteps, int blocks, int steps) const {
  const int evaluations = int(timesteps.size());
  if (!table_steps_) return pyramid_schedule(rule_, timesteps, blocks, steps ? steps : evaluations, 0, evaluations);
  if (const std::string why = refusal(evaluations); !why.empty()) throw Error(why);
  BroadcastSchedule schedule(evaluations, blocks);
  for (const Reuse& reuse : table_) {
    std::vector<int> listed = reuse.blocks;
    for (int block = 0; reuse.all_blocks && block < blocks; ++block) listed.push_back(block);
    for (const int block : listed) {
      require(block >= 0 && block < blocks, where_, ": block ", block, " of ", name_of(reuse.branch),
              " does not exist; the network has blocks 0 to ", blocks - 1);
      for (const int evaluation : reuse.evaluations) schedule.set_reuse(evaluation, {reuse.branch, block}, true);
    }
  }
  for (const int evaluation : unconditional_half_) schedule.set_reuse_of_unconditional_half(evaluation, true);
  return schedule;
}

std::vector<std::string> BroadcastPolicy::keys_without(std::span<const Branch> branches) const {
  const auto has = [&](Branch branch) { return std::find(branches.begin(), branches.end(), branch) != branches.end(); };
  std::vector<std::string> keys;
  const auto note = [&](bool used, bool fits, const char* key) {
    if (used && !fits && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  };
  note(rule_.spatial.enabled, has(Branch::spatial_attention), "spatial_*");
  note(rule_.temporal.enabled, has(Branch::temporal_attention), "temporal_*");
  note(rule_.cross.enabled, has(Branch::spatial_cross) || has(Branch::temporal_cross), "cross_*");
  note(rule_.mlp && !rule_.spatial_mlp.empty(), has(Branch::spatial_mlp), "mlp_spatial_broadcast_config");
  note(rule_.mlp && !rule_.temporal_mlp.empty(), has(Branch::temporal_mlp), "mlp_temporal_broadcast_config");
  for (const Reuse& reuse : table_) note(true, has(reuse.branch), name_of(reuse.branch));
  note(!unconditional_half_.empty(), !branches.empty(), unconditional_half_name);
  return keys;
}

std::vector<std::string> BroadcastPolicy::warnings(std::span<const int64_t> timesteps, int blocks, std::span<const Branch> branches) const {
  std::vector<std::string> lines;
  if (const auto keys = keys_without(branches); !keys.empty()) {
    std::string there;
    for (const Branch branch : branches) there += concat(there.empty() ? "" : ", ", name_of(branch));
    for (const std::string& key : keys)
      lines.push_back(
          concat(where_, ": ", key, " does not fit this network and never takes effect: its blocks have ", there.empty() ? "no branches" : there));
  }
  if (enabled() && !table_steps_ && !rule_.enabled()) lines.push_back(where_ + ": broadcasts no attention, and then the rule broadcasts nothing");
  if (!rule_.enabled() || !rule_.mlp) return lines;
  const auto check = [&](const std::vector<MlpBroadcast>& keys, const char* name) {
    for (const MlpBroadcast& key : keys) {
      if (std::count(timesteps.begin(), timesteps.end(), key.timestep) == 0) {
        const auto nearest = std::min_element(timesteps.begin(), timesteps.end(), [&](int64_t a, int64_t b) {
          return std::llabs(a - key.timestep) < std::llabs(b - key.timestep);
        });
        lines.push_back(concat(where_, ": ", name, ": no step has timestep ", key.timestep, ", so it never takes effect; the nearest is ",
                               nearest == timesteps.end() ? 0 : *nearest));
      }
      for (const int block : key.blocks)
        if (block < 0 || block >= blocks)
          lines.push_back(concat(where_, ": ", name, ": block ", block, " does not exist; the network has blocks 0 to ", blocks - 1));
    }
  };
  check(rule_.spatial_mlp, "mlp_spatial_broadcast_config");
  check(rule_.temporal_mlp, "mlp_temporal_broadcast_config");
  return lines;
}

}  // namespace pyracast
