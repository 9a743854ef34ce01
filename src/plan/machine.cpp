#include "plan/machine.hpp"

#include <algorithm>

#include "base/counted.hpp"
#include "base/error.hpp"

namespace pyracast {

namespace {

double number(const Json& object, const char* key, const std::string& where) {
  const double found = value<double>(object, key, where);
  require(std::isfinite(found) && found >= 0, where, ": \"", key, "\" is ", found, ", expected 0 or more");
  return found;
}

double number_or_0(const Json& object, const char* key, const std::string& where) {
  return object.contains(key) ? number(object, key, where) : 0;
}

/// An object of the file; its name for messages follows.
const Json& object_of(const Json& json, const char* key, const std::string& where) {
  require(json.contains(key) && json.at(key).is_object(), where, ": \"", key, "\" is missing or no object");
  return json.at(key);
}

PhaseCost cost_from_json(const Json& json, const char* key, const std::string& where) {
  const Json& cost = object_of(json, key, where);
  const std::string name = concat(where, ", ", key);
  return {number(cost, "per_call", name), number(cost, "per_work", name)};
}

Json cost_json(const PhaseCost& cost) { return {{"per_call", cost.per_call}, {"per_work", cost.per_work}}; }

MakingCosts phases_from_json(const Json& seconds, const std::string& where) {
  MakingCosts costs{};
  for (const auto& [name, item] : seconds.items()) {
    const auto found = std::find_if(making_phases.begin(), making_phases.end(), [&, &known = name](const char* phase) { return known == phase; });
    require(found != making_phases.end(), where, ": \"", name, "\" is no phase; those are ",
            std::vector<std::string>(making_phases.begin(), making_phases.end()));
    costs[size_t(found - making_phases.begin())] = cost_from_json(seconds, name.c_str(), where);
  }
  require(std::any_of(costs.begin(), costs.end(), [](const PhaseCost& cost) { return cost.per_call > 0 || cost.per_work > 0; }), where,
          ": no phase takes any time");
  return costs;
}

int64_t count_or_0(const Json& json, const char* key, const std::string& where) {
  const int64_t found = value_or<int64_t>(json, key, 0, where);
  require(found >= 0, where, ": \"", key, "\" is ", found, ", expected 0 or more");
  return found;
}

int small_count(const Json& json, const char* key, const std::string& where) {
  const int64_t found = count_value(json, key, where);
  require(found <= 1 << 20, where, ": \"", key, "\" is ", found, ", expected at most ", 1 << 20);
  return int(found);
}

}  // namespace

std::string name_of(TeamLayout layout) {
  return concat(counted(layout.ranks, "rank"), layout.cfg_parallel ? " in halves" : "");
}

std::vector<TeamLayout> layouts_of(int ranks_of_node) {
  std::vector<TeamLayout> layouts;
  for (int ranks = 1; ranks <= ranks_of_node; ++ranks) {
    if (ranks_of_node % ranks) continue;
    layouts.push_back({ranks, false});
    if (ranks % 2 == 0) layouts.push_back({ranks, true});
  }
  return layouts;
}

Machine::Costs Machine::costs_of(TeamLayout layout) const {
  if (const auto found = layouts.find(layout); found != layouts.end()) return {found->second, true};
  Costs estimated{layouts.at({1, false}), false};
  estimated.costs.phases[size_t(MakingPhase::communication)] = {exchange_seconds, exchange_rate > 0 ? 1 / exchange_rate : 0};
  return estimated;
}

Machine machine_from_json(const Json& json, const std::string& where) {
  require(json.is_object(), where, ": is no JSON object");
  Machine machine;
  machine.nodes = json.contains("nodes") ? small_count(json, "nodes", where) : 1;
  machine.ranks_per_node = small_count(json, "ranks_per_node", where);
  machine.cores_per_rank = small_count(json, "cores_per_rank", where);
  machine.gpus_per_rank = int(count_or_0(json, "gpus_per_rank", where));
  machine.memory_per_node = count_or_0(json, "memory_per_node", where);
  machine.memory_per_gpu = count_or_0(json, "memory_per_gpu", where);
  if (json.contains("all_to_all")) {
    const std::string name = where + ", all_to_all";
    machine.exchange_seconds = number(object_of(json, "all_to_all", where), "latency", name);
    machine.exchange_rate = number(json.at("all_to_all"), "bytes_per_second", name);
  }
  machine.model = value_or<std::string>(json, "model", "", where);
  machine.dtype = value_or<std::string>(json, "dtype", "", where);
  machine.device = value_or<std::string>(json, "device", "", where);
  require(json.contains("teams") && json.at("teams").is_array(), where, ": \"teams\" is missing or no list");
  for (const Json& team : json.at("teams")) {
    const std::string name = concat(where, ", teams[", machine.layouts.size(), "]");
    const TeamLayout layout{small_count(team, "ranks_per_video", name), value_or(team, "cfg_parallel", false, name)};
    require(machine.ranks_per_node % layout.ranks == 0 && (!layout.cfg_parallel || layout.ranks % 2 == 0), name, ": teams of ", name_of(layout),
            " do not fill a node of ", machine.ranks_per_node, " ranks");
    LayoutCosts costs;
    costs.phases = phases_from_json(object_of(team, "seconds", name), name + ", seconds");
    costs.start_up = number_or_0(team, "start_up_seconds", name);
    costs.spread = number_or_0(team, "spread", name);
    costs.error = number_or_0(team, "error", name);
    costs.least_work = number_or_0(team, "least_work", name);
    costs.most_work = number_or_0(team, "most_work", name);
    require(machine.layouts.emplace(layout, costs).second, name, ": teams of ", name_of(layout), " are there twice");
  }
  require(machine.layouts.contains({1, false}), where, ": \"teams\" holds none of one rank, which the others are estimated by");
  if (json.contains("bytes")) {
    machine.video_bytes = cost_from_json(json.at("bytes"), "video", where + ", bytes");
    machine.shard_bytes = cost_from_json(json.at("bytes"), "shard", where + ", bytes");
    machine.shard_file_bytes = number(json.at("bytes"), "shard_file", where + ", bytes");
    machine.video_bytes_spread = number_or_0(json.at("bytes"), "video_spread", where + ", bytes");
  }
  return machine;
}

Machine read_machine(const std::filesystem::path& file) { return machine_from_json(read_json(file), file.string()); }

Json to_json(const Machine& machine) {
  Json json{{"nodes", machine.nodes}, {"ranks_per_node", machine.ranks_per_node}, {"cores_per_rank", machine.cores_per_rank},
            {"gpus_per_rank", machine.gpus_per_rank}, {"memory_per_node", machine.memory_per_node}};
  if (machine.gpus_per_rank > 0) json["memory_per_gpu"] = machine.memory_per_gpu;
  json["all_to_all"] = Json{{"latency", machine.exchange_seconds}, {"bytes_per_second", machine.exchange_rate}};
  json["model"] = machine.model;
  json["dtype"] = machine.dtype;
  json["device"] = machine.device;
  json["teams"] = Json::array();
  for (const auto& [layout, costs] : machine.layouts) {
    Json team{{"ranks_per_video", layout.ranks}, {"cfg_parallel", layout.cfg_parallel}, {"start_up_seconds", costs.start_up},
              {"spread", costs.spread}, {"error", costs.error}, {"least_work", costs.least_work}, {"most_work", costs.most_work}};
    for (size_t phase = 0; phase < making_phases.size(); ++phase) team["seconds"][making_phases[phase]] = cost_json(costs.phases[phase]);
    json["teams"].push_back(team);
  }
  json["bytes"] = Json{{"video", cost_json(machine.video_bytes)}, {"shard", cost_json(machine.shard_bytes)}, {"shard_file", machine.shard_file_bytes},
                      {"video_spread", machine.video_bytes_spread}};
  return json;
}

}  // namespace pyracast
