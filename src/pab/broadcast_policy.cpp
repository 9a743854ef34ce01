#include "pab/broadcast_policy.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

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

Branch branch_named(const std::string& name, const std::string& where) {
  for (int i = 0; i < branch_count; ++i)
    if (name == name_of(Branch(i))) return Branch(i);
  fail(where, ": the branch \"", name, "\" does not exist (spatial_ or temporal_ before attention, cross or mlp)");
}

}  // namespace

const char* name_of(Branch branch) {
  constexpr const char* names[branch_count] = {"spatial_attention", "temporal_attention", "spatial_cross",
                                               "temporal_cross",    "spatial_mlp",        "temporal_mlp"};
  return names[int(branch)];
}

PabSettings pab_settings(const Json& json, const std::string& where) {
  PabSettings settings;
  if (json.is_null()) return settings;
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
    if (stored == "ungated") stored_output_ = StoredOutput::ungated;
  }
  if (json.is_object() && json.contains("reuse")) {
    read_table();
    return;
  }
  check_keys(json, {"spatial_broadcast", "spatial_threshold", "spatial_range", "temporal_broadcast", "temporal_threshold",
                    "temporal_range", "cross_broadcast", "cross_threshold", "cross_range", "stored", "mlp_broadcast",
                    "mlp_spatial_broadcast_config", "mlp_temporal_broadcast_config"}, where);
  rule_ = pab_settings(json, where);
}

void BroadcastPolicy::read_table() {
  check_keys(json_, {"steps", "reuse", "stored"}, where_);
  table_steps_ = value<int>(json_, "steps", where_);
  require(table_steps_ > 0, where_, ": \"steps\" is ", table_steps_, ", expected the number of evaluations of a video");
  for (const Json& entry : value<std::vector<Json>>(json_, "reuse", where_)) {
    check_keys(entry, {"branch", "evaluations", "blocks"}, where_);
    Reuse reuse{branch_named(value<std::string>(entry, "branch", where_), where_),
                value<std::vector<int>>(entry, "evaluations", where_),
                value_or(entry, "blocks", std::vector<int>(), where_), !entry.contains("blocks")};
    for (const int evaluation : reuse.evaluations)
      require(evaluation > 0 && evaluation < table_steps_, where_, ": reuses ", name_of(reuse.branch), " at evaluation ",
              evaluation, ", expected 1 to ", table_steps_ - 1, " (the first has nothing to reuse)");
    table_.push_back(std::move(reuse));
  }
}

std::string BroadcastPolicy::refusal(int steps) const {
  if (!table_steps_ || steps == table_steps_) return {};
  return concat(where_, " is a table of ", table_steps_, " steps, and the video has ", steps, ": use ", table_steps_,
                " steps, or a rule instead of a table");
}

BroadcastSchedule BroadcastPolicy::schedule(std::span<const int64_t> timesteps, int blocks, int steps) const {
  const int evaluations = int(timesteps.size());
  if (!table_steps_) return pyramid_schedule(rule_, timesteps, blocks, steps ? steps : evaluations);
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
  return schedule;
}

std::vector<std::string> BroadcastPolicy::warnings(std::span<const int64_t> timesteps, int blocks) const {
  std::vector<std::string> lines;
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
