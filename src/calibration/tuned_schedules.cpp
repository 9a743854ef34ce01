#include "calibration/tuned_schedules.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/file.hpp"
#include "settings/presets.hpp"
#include "tune/schedule_file.hpp"
#include "tune/schedule_search.hpp"

namespace pyracast {

namespace {

constexpr int64_t whole_units = 1 << 16;   // what computing everything in all steps costs, in the search's whole numbers

std::string short_number(double value) {
  char text[24];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

/// Paths, between commas, as the names of their files.
std::string without_folders(const std::string& text) {
  std::string out, word;
  for (const char c : text + ',') {
    if (c == '/') word.clear();
    else if (c != ',') word += c;
    else out += (out.empty() ? "" : ",") + std::exchange(word, {});
  }
  return out;
}

double share(int64_t units) { return double(units) / double(whole_units); }

}  // namespace

std::vector<int> steps_to_tune(const TuneSettings& settings, int usual) {
  std::vector<int> all{usual};
  for (const std::string& text : settings.steps_candidates) {
    int steps = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), steps);
    require(error == std::errc() && end == text.data() + text.size() && steps >= 2 && steps <= usual, "steps-candidates names \"", text,
            "\", expected whole numbers from 2 to ", usual, " (the steps of the reference), with commas between");
    all.push_back(steps);
  }
  std::sort(all.rbegin(), all.rend());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

BranchCosts read_costs(const std::filesystem::path& file) {
  const std::string where = file.string();
  Json json = read_json(file);
  if (json.contains("provenance")) json = json.at("provenance");   // of a schedule
  const Json costs = value<Json>(json, "costs", where), branches = value<Json>(costs, "branches", where);
  BranchCosts read;
  for (int branch = 0; branch < branch_count; ++branch) read.branches[size_t(branch)] = value<double>(branches, name_of(Branch(branch)), where);
  read.evaluation = value<double>(costs, "evaluation", where);
  read.apart = value_or(costs, "halves_apart", 1.0, where);
  for (const double seconds : read.branches) require(seconds >= 0, where, ": a branch costs ", seconds, " s, expected 0 or more");
  require(read.evaluation > 0, where, ": an evaluation costs ", read.evaluation, " s, expected more than 0");
  require(read.apart > 0, where, ": halves_apart is ", read.apart, ", expected more than 0: how many times longer halves take apart");
  return read;
}

Json to_json(const BranchCosts& costs) {
  Json branches = Json::object();
  for (int branch = 0; branch < branch_count; ++branch) branches[name_of(Branch(branch))] = costs.branches[size_t(branch)];
  return {{"branches", std::move(branches)}, {"evaluation", costs.evaluation}, {"halves_apart", costs.apart}};
}

Json provenance_of(const TuneSettings& settings, const Json& content) {
  std::string command = "pyracast tune";
  const Json given = to_json(settings), usual = to_json(TuneSettings());
  for (const auto& [name, setting] : given.items()) {
    if (setting == usual.at(name) || name == "output" || name == "threads") continue;
    std::string text = setting.is_string() ? setting.get<std::string>() : setting.is_array() ? "" : setting.dump();
    for (size_t i = 0; setting.is_array() && i < setting.size(); ++i) text += (i ? "," : "") + setting[i].get<std::string>();
    command += concat(" --", name, " ", without_folders(text));
  }
  return {{"command", command}, {"prompts_sha256", sha256_of_file(settings.generate.prompts)}, {"content", content}};
}

std::string schedule_text(Json schedule, const Json& provenance) {
  schedule["provenance"].update(provenance);
  std::string text = "{";
  for (const auto& [key, item] : schedule.items()) {
    if (text.size() > 1) text += ",\n ";
    text += Json(key).dump() + ": ";
    if (key != "reuse") {
      text += item.dump();
      continue;
    }
    std::string entries;
    for (const Json& entry : item) entries += (entries.empty() ? "\n  " : ",\n  ") + entry.dump();
    text += "[" + entries + "]";
  }
  return text + "}\n";
}

TunedSchedules::TunedSchedules(const TuneSettings& settings, const CalibrationSamples& samples, bool tells)
    : settings_(settings), samples_(samples), tells_(tells) {
  std::vector<Target> wanted;
  groups_ = site_groups(samples.pipeline().blocks(), settings.block_groups);
  std::erase_if(groups_, [&](const SiteGroup& group) { return samples.blocks()[size_t(group.branches.front())] == 0; });
  require(!groups_.empty(), "the network has no branches to reuse");
  // The unconditional half is tried besides, never instead: what its reuse does beside other reuse is foreseen less well.
  std::vector<std::vector<SiteGroup>> calibrated{as_one(groups_), groups_};
  if (settings.unconditional_half && samples.have_guidance()) {
    groups_.emplace_back();
    calibrated.push_back(as_one(groups_));
  }
  for (const int steps : steps_to_tune(settings, samples.steps())) {
    size_t denoisings = 0;
    for (const auto& groups : calibrated) denoisings += 1 + groups.size() * size_t(steps - 1);
    tell(concat("calibrating ", steps, " steps: ", denoisings, " denoisings a sample"));
    std::deque<StepsCalibration> calibrations;
    for (const auto& groups : calibrated) calibrations.emplace_back(samples, groups, steps);
    if (steps == samples.steps()) {
      costs_ = settings.costs.empty() ? calibrations[1].costs() : read_costs(settings.costs);
      if (settings.costs.empty()) costs_.apart = calibrations.back().costs().apart;   // 1 where halves are left out
      whole_ = cost_of_steps(steps);
      wanted = targets(tuning_.untuned);
    }
    tried_.clear();
    try_front(calibrations);
    for (const StepsCalibration& calibration : calibrations)
      for (const Target& target : wanted) try_target(target, calibration);
    for (const Target& target : wanted) add_tuned(target, steps);
  }
  add_fewer_steps(wanted);
  std::vector<std::string> by_cost;
  for (const Target& target : wanted)
    if (target.error) by_cost.push_back(target.name);
  std::stable_sort(tuning_.ways.begin(), tuning_.ways.end(), [](const TunedWay& a, const TunedWay& b) { return a.target < b.target; });
  mark_best(tuning_.ways, by_cost);
}

void TunedSchedules::tell(const std::string& what) const {
  if (tells_) std::fprintf(stderr, "pyracast: %s\n", what.c_str());
}

double TunedSchedules::cost_of_steps(int steps) const { return costs_.of(BroadcastSchedule(steps, samples_.pipeline().blocks())); }

ReuseCosts TunedSchedules::units(const std::vector<SiteGroup>& groups) const {
  const bool in_halves = groups.back().is_half();
  const double units_a_second = double(whole_units) / whole_ * (in_halves ? costs_.apart / 2 : 1);
  const auto rounded = [&](double seconds) { return int64_t(std::llround(seconds * units_a_second)); };
  ReuseCosts units{rounded(costs_.evaluation), {}};
  for (const SiteGroup& group : groups) {
    double seconds = 0;
    for (const Branch branch : group.branches) seconds += costs_.branches[size_t(branch)] * double(group.blocks.size());
    units.groups.push_back(group.is_half() ? 0 : std::max<int64_t>(1, rounded(seconds)));
  }
  if (in_halves) units.half = groups.size() - 1;
  return units;
}

std::vector<TunedSchedules::Target> TunedSchedules::targets(std::vector<TunedWay>& untuned) {
  std::vector<Target> targets;
  const auto within = [&](double budget, const std::string& suffix) {
    targets.push_back({"at-cost" + suffix, "cost " + short_number(budget), budget, std::nullopt});
  };
  const auto beyond = [&](double error, const std::string& suffix) {
    targets.push_back({"at-error" + suffix, "error " + short_number(error), std::nullopt, error});
  };
  for (const std::filesystem::path& given : settings_.against) {
    const std::filesystem::path file = broadcast_file(given);
    const BroadcastPolicy policy = broadcast_policy(file);
    TunedWay way;
    way.way = file.filename().string();
    way.steps = samples_.steps();
    way.cost = costs_.of(samples_.pipeline().schedule(samples_.request(), policy)) / whole_;
    way.error = samples_.error(way.steps, policy);
    const std::string of = "-of-" + file.stem().string();
    const size_t before = targets.size();
    within(way.cost, of);
    if (way.error > 0) beyond(way.error, of);
    untuned.push_back(way);
    for (size_t i = before; i < targets.size(); ++i) {
      way.target = targets[i].name;
      tuning_.ways.push_back(way);
    }
  }
  if (settings_.error) beyond(*settings_.error, "");
  if (settings_.budget || targets.empty()) within(settings_.budget.value_or(0.5), "");
  return targets;
}

/// Runs a table and remembers what it came to. Gives its error and the model that is exact there.
std::pair<double, ErrorModel> TunedSchedules::try_table(const ReuseTable& table, const StepsCalibration& calibration) {
  auto measured = calibration.measured(table);
  tried_.push_back({over_groups(table, calibration.groups(), groups_), units(calibration.groups()).of(table), calibration.model().error(table),
                    measured.first});
  return measured;
}

/// Tables within a row of budgets, one run of each sample for each of them: the best of each budget.
void TunedSchedules::try_front(const std::deque<StepsCalibration>& calibrations) {
  TunedFront front;
  front.steps = calibrations.front().steps();
  tell(concat("the front of ", front.steps, " steps"));
  std::vector<std::optional<ReuseTable>> near(calibrations.size());
  for (int percent = 95; percent >= 20; percent -= 5) {
    const size_t before = tried_.size();
    for (size_t i = 0; i < calibrations.size(); ++i) {
      const ReuseCosts costs = units(calibrations[i].groups());
      const auto table = samples_.searched([&]() -> std::optional<ReuseTable> {
        const auto found = search_within_cost(calibrations[i].model(), costs, whole_units * percent / 100, near[i], SearchEffort::quick);
        return found ? std::optional(found->table) : std::nullopt;
      });
      if (table && table != near[i]) try_table(*table, calibrations[i]);
      near[i] = table;
    }
    const auto best = std::min_element(tried_.begin() + long(before), tried_.end(),
                                       [](const Tried& a, const Tried& b) { return a.error < b.error; });
    if (best == tried_.end()) continue;   // all of it is affordable, or nothing
    front.cost.push_back(share(best->cost));
    front.predicted.push_back(best->predicted);
    front.measured.push_back(best->error);
  }
  if (!front.cost.empty()) tuning_.fronts.push_back(std::move(front));
}

/// The best for the target of all tables that were run; none where not even the fewest computations are within its budget.
const TunedSchedules::Tried* TunedSchedules::best_for(const Target& target) const {
  const auto better = [&](const Tried& a, const Tried& b) {
    if (fits(a, target) != fits(b, target)) return fits(a, target);
    return target.budget == std::nullopt && fits(a, target) ? a.cost < b.cost : a.error < b.error;
  };
  const auto best = std::min_element(tried_.begin(), tried_.end(), better);
  return best == tried_.end() ? nullptr : &*best;
}

bool TunedSchedules::fits(const Tried& tried, const Target& target) const {
  return target.budget ? share(tried.cost) <= *target.budget : tried.error <= *target.error;
}

/// Searches, runs what is found, corrects the model by that run, and searches again from there. Groups begin where evaluations ended.
void TunedSchedules::try_target(const Target& target, const StepsCalibration& calibration) {
  tell(concat("searching ", target.name, " in ", calibration.steps(), " steps"));
  const ReuseCosts costs = units(calibration.groups());
  ErrorModel model = calibration.model();
  std::optional<ReuseTable> near;
  if (const Tried* best = best_for(target); best && calibration.groups().front().branches.size() == 1) {
    near = over_groups(best->table, groups_, calibration.groups());
    model = calibration.measured(*near).second;
  }
  double aim = target.error.value_or(0);   // lowered where the model promises too much
  for (int round = 0; round < settings_.rounds; ++round) {
    const auto table = samples_.searched([&]() -> std::optional<ReuseTable> {
      const auto found = target.budget ? search_within_cost(model, costs, int64_t(*target.budget * double(whole_units)), near)
                                       : search_within_error(model, costs, aim, near);
      return found ? std::optional(found->table) : std::nullopt;
    });
    if (!table || table == near) return;
    auto [error, corrected] = try_table(*table, calibration);
    if (target.error && error > *target.error) aim *= std::max(0.3, *target.error / error);
    model = std::move(corrected);
    near = table;
  }
}

void TunedSchedules::add_tuned(const Target& target, int steps) {
  const Tried* best = best_for(target);
  if (!best) return;
  TunedWay way{target.name, "tuned", steps, share(best->cost), best->predicted, best->error,
               concat(target.file, '-', steps, "-steps.json"), fits(*best, target)};
  Json schedule = schedule_json(best->table, groups_, samples_.pipeline().blocks());
  if (!settings_.stored.empty()) schedule["stored"] = settings_.stored;
  schedule["provenance"] = {{"target", way.target}, {"cost", way.cost}, {"speed_up", 1 / way.cost}, {"predicted_error", best->predicted},
                            {"measured_error", way.error}, {"costs", to_json(costs_)}};
  schedules_[way.file] = std::move(schedule);
  tuning_.ways.push_back(std::move(way));
}

/// Everything computed in fewer steps: for a budget the most steps within it, for an error the fewest that keep it.
void TunedSchedules::add_fewer_steps(const std::vector<Target>& targets) {
  tell("fewer steps with everything computed");
  std::map<int, TunedWay> ways;
  const auto way = [&](int steps) -> const TunedWay& {
    if (const auto found = ways.find(steps); found != ways.end()) return found->second;
    TunedWay way;
    way.way = "fewer steps";
    way.steps = steps;
    way.cost = cost_of_steps(steps) / whole_;
    way.error = samples_.error(steps, {});
    return ways[steps] = way;
  };
  const int fewest = std::max(2, samples_.steps() / 4);
  for (int steps = samples_.steps() - 1; steps >= fewest; --steps) way(steps);
  for (const Target& target : targets) {
    int steps = samples_.steps();
    if (target.budget) steps = std::max(2, int(*target.budget * double(steps) + 1e-9));
    else   // errors need not fall with every step
      for (int fewer = steps - 1; fewer >= fewest; --fewer)
        if (way(fewer).error <= *target.error) steps = fewer;
    TunedWay found = way(steps);
    found.target = target.name;
    found.fits = target.budget ? found.cost <= *target.budget + 1e-9 : found.error <= *target.error;
    tuning_.ways.push_back(std::move(found));
  }
  for (const auto& [steps, found] : ways)
    if (found.error > 0) tuning_.untuned.push_back(found);
}

}  // namespace pyracast
