#include "tune/schedule_search.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <random>

#include "tune/shortest_paths.hpp"

namespace pyracast {

namespace {

constexpr double improvement = 1e-9;   // less than this share of the error is rounding

/// A table under search, with the gradient of its error, so that turning one entry over is judged from few numbers.
class Searched {
 public:
  Searched(const ErrorModel& model, const ReuseCosts& costs, ReuseTable table)
      : model_(&model), costs_(&costs), table_(std::move(table)), cost_(costs.of(table_)), error_(model.error(table_)),
        amplitudes_(model.amplitudes(table_)), gradient_(model.offset_products()) {
    for (size_t i = 0; i < amplitudes_.size(); ++i) follow(i, amplitudes_[i]);
  }

  double error() const { return error_; }
  int64_t cost() const { return cost_; }
  bool reuses(size_t group, int evaluation) const { return table_[group][size_t(evaluation)]; }
  /// What reusing this entry saves, or computing it costs.
  int64_t saved_by(size_t group, int evaluation) const { return costs_->saved_by(table_, group, evaluation); }
  TunedTable result() const { return {table_, model_->error(table_), cost_}; }

  /// By how much the error grows where this entry is turned over.
  double growth(size_t group, int evaluation) const {
    const std::vector<Change>& changes = changes_by(group, evaluation);
    double growth = 0;
    for (const auto& [i, by] : changes) {
      growth += 2 * by * gradient_[i];
      for (const auto& [j, also] : changes) growth += by * also * model_->product(i, j);
    }
    return growth;
  }

  void turn(size_t group, int evaluation) {
    error_ += growth(group, evaluation);
    for (const auto& [i, by] : changes_by(group, evaluation)) {
      amplitudes_[i] += by;
      follow(i, by);
    }
    table_[group][size_t(evaluation)] = !reuses(group, evaluation);
    cost_ += reuses(group, evaluation) ? -saved_by(group, evaluation) : saved_by(group, evaluation);
  }

 private:
  struct Change {
    size_t site;
    double by;
  };
  const ErrorModel* model_;
  const ReuseCosts* costs_;
  ReuseTable table_;
  int64_t cost_;
  double error_;
  std::vector<double> amplitudes_, gradient_;   // gradient: half of the error's, by each amplitude
  mutable std::vector<Change> changes_;

  void follow(size_t i, double by) {
    if (by == 0) return;
    for (size_t j = 0; j < gradient_.size(); ++j) gradient_[j] += by * model_->product(i, j);
  }

  /// What turning an entry over changes: itself and what is reused behind it, up to the next computation.
  const std::vector<Change>& changes_by(size_t group, int evaluation) const {
    const std::vector<bool>& reuse = table_[group];
    int computed = evaluation - 1;
    while (reuse[size_t(computed)]) --computed;
    double since = 0;
    for (int e = computed + 1; e <= evaluation; ++e) since += model_->change(group, e);
    const bool reused = !reuse[size_t(evaluation)];   // from here on
    changes_.clear();
    for (int e = evaluation; e < model_->evaluations(); ++e) {
      if (e > evaluation) since += model_->change(group, e);
      if (e == evaluation && !reused) since = 0;
      if (e > evaluation && !reuse[size_t(e)]) break;
      const double now = e == evaluation && !reused ? 0 : model_->amplitude(group, e, since);
      const size_t site = model_->site(group, e);
      changes_.push_back({site, now - amplitudes_[site]});
    }
    return changes_;
  }
};

/// Computes less, each time where the error grows least for what is saved, until the cost is within the budget. False where
/// nothing is left to reuse.
bool come_within(Searched& searched, const ErrorModel& model, int64_t budget) {
  while (searched.cost() > budget) {
    double best = std::numeric_limits<double>::infinity();
    std::pair<size_t, int> where{0, 0};
    for (size_t g = 0; g < size_t(model.groups()); ++g)
      for (int e = 1; e < model.evaluations(); ++e) {
        const int64_t saved = searched.reuses(g, e) ? 0 : searched.saved_by(g, e);
        if (saved == 0) continue;
        if (const double price = searched.growth(g, e) / double(saved); price < best) {
          best = price;
          where = {g, e};
        }
      }
    if (where.second == 0) return false;
    searched.turn(where.first, where.second);
  }
  return true;
}

/// Spends what the budget has left, each time where the error falls most for its cost.
void fill_up(Searched& searched, const ErrorModel& model, int64_t budget) {
  for (;;) {
    double best = 0;
    std::pair<size_t, int> where{0, 0};
    for (size_t g = 0; g < size_t(model.groups()); ++g)
      for (int e = 1; e < model.evaluations(); ++e) {
        if (!searched.reuses(g, e)) continue;
        const int64_t spent = searched.saved_by(g, e);
        if (searched.cost() + spent > budget) continue;
        if (const double gain = -searched.growth(g, e) / double(std::max<int64_t>(1, spent)); gain > best) {
          best = gain;
          where = {g, e};
        }
      }
    if (where.second == 0) return;
    searched.turn(where.first, where.second);
  }
}

/// The one entry that leaves the least error within the budget once it is turned over too.
void turn_best(Searched& searched, const ErrorModel& model, int64_t budget) {
  double best = std::numeric_limits<double>::infinity();
  std::pair<size_t, int> where{0, 0};
  for (size_t g = 0; g < size_t(model.groups()); ++g)
    for (int e = 1; e < model.evaluations(); ++e) {
      if (searched.cost() + (searched.reuses(g, e) ? searched.saved_by(g, e) : -searched.saved_by(g, e)) > budget) continue;
      if (const double growth = searched.growth(g, e); growth < best) {
        best = growth;
        where = {g, e};
      }
    }
  if (where.second) searched.turn(where.first, where.second);
}

/// All groups of branches alike at an evaluation: reused where any is computed there, else computed.
void turn_all(Searched& searched, const ErrorModel& model, const ReuseCosts& costs, int evaluation) {
  bool all_reused = true;
  for (size_t g = 0; g < size_t(model.groups()); ++g) all_reused = all_reused && (g == costs.half || searched.reuses(g, evaluation));
  for (size_t g = 0; g < size_t(model.groups()); ++g)
    if (g != costs.half && searched.reuses(g, evaluation) == all_reused) searched.turn(g, evaluation);
}

/// Turns each entry, and each evaluation's all, over in turn and makes up for it, by another or by as many as it takes, as long as
/// that helps.
void exchange(Searched& searched, const ErrorModel& model, const ReuseCosts& costs, int64_t budget) {
  constexpr int most_rounds = 20;
  bool helped = true;
  const auto try_it = [&](Searched changed) {
    if (changed.cost() > budget || changed.error() >= searched.error() - improvement * std::abs(searched.error())) return;
    searched = std::move(changed);
    helped = true;
  };
  const auto try_it_within = [&](Searched changed) {
    if (!come_within(changed, model, budget)) return;
    fill_up(changed, model, budget);
    try_it(std::move(changed));
  };
  for (int round = 0; helped && round < most_rounds; ++round) {
    helped = false;
    for (size_t g = 0; g < size_t(model.groups()); ++g)
      for (int e = 1; e < model.evaluations(); ++e) {
        Searched turned = searched;
        turned.turn(g, e);
        Searched pair = turned;
        turn_best(pair, model, budget);
        try_it(std::move(pair));
        try_it_within(std::move(turned));
      }
    for (int e = 1; e < model.evaluations(); ++e) {
      Searched turned = searched;
      turn_all(turned, model, costs, e);
      for (int f = 1; f < model.evaluations(); ++f) {
        Searched pair = turned;
        if (f != e) turn_all(pair, model, costs, f);
        try_it(std::move(pair));
      }
      try_it_within(std::move(turned));
    }
  }
}

/// Leaves the hollow that the descent has ended in: turns some entries over at random and descends again.
void shake(Searched& searched, const ErrorModel& model, const ReuseCosts& costs, int64_t budget) {
  constexpr int times = 12, entries = 4;
  std::mt19937 generator(1);   // the same table each time
  for (int time = 0; time < times; ++time) {
    Searched shaken = searched;
    for (int i = 0; i < entries; ++i) shaken.turn(generator() % size_t(model.groups()), 1 + int(generator() % size_t(model.evaluations() - 1)));
    if (!come_within(shaken, model, budget)) continue;
    fill_up(shaken, model, budget);
    exchange(shaken, model, costs, budget);
    if (shaken.error() < searched.error()) searched = std::move(shaken);
  }
}

/// The exact solution where the segments of each set of groups, which are computed and reused together, err by themselves, and where all
/// save what they do beside all others computed: so that the unconditional half beside other groups saves too much.
std::optional<ReuseTable> without_cross_products(const ErrorModel& model, const ReuseCosts& costs, int64_t budget,
                                                 const std::vector<std::vector<size_t>>& sets) {
  const ReuseTable everything = all_computed(size_t(model.groups()), model.evaluations());
  int64_t with_all_reused = costs.of(everything);
  std::vector<std::vector<GroupPath>> paths;
  for (const std::vector<size_t>& set : sets) {
    const auto segment = [&](int computed, int reused) {
      std::vector<bool> reuse(size_t(model.evaluations()), false);
      for (int e = computed + 1; e <= computed + reused; ++e) reuse[size_t(e)] = true;
      std::vector<std::pair<size_t, double>> effects;   // site, amplitude
      for (const size_t g : set) {
        const std::vector<double> a = model.amplitudes(g, reuse);
        for (int e = computed + 1; e <= computed + reused; ++e) effects.emplace_back(model.site(g, e), a[size_t(e) - 1]);
      }
      double error = 0;
      for (const auto& [i, a] : effects) {
        error += 2 * a * model.offset_products()[i];
        for (const auto& [j, also] : effects) error += a * also * model.product(i, j);
      }
      return error;
    };
    int64_t cost = 0;
    for (const size_t g : set) cost += costs.saved_by(everything, g, 0);
    with_all_reused -= cost * model.evaluations();
    paths.push_back(shortest_paths(model.evaluations(), segment, cost));
  }
  const auto chosen = least_error(paths, budget - with_all_reused);
  if (!chosen) return std::nullopt;
  ReuseTable table = everything;
  for (size_t s = 0; s < sets.size(); ++s)
    for (const size_t g : sets[s]) table[g] = paths[s][(*chosen)[s]].reuse;
  return table;
}

/// Solutions of each group by itself, and of all as one: what the groups of an evaluation do to its result nearly cancels out where all
/// are reused. Both without the unconditional half, if there is one, and with it by itself.
std::vector<ReuseTable> exact_starts(const ErrorModel& model, const ReuseCosts& costs, int64_t budget) {
  std::vector<std::vector<size_t>> alone, together(1);
  for (size_t g = 0; g < size_t(model.groups()); ++g) {
    if (g == costs.half) continue;
    alone.push_back({g});
    together.front().push_back(g);
  }
  std::vector<ReuseTable> starts;
  const auto add = [&](const std::vector<std::vector<size_t>>& sets) {
    if (auto exact = without_cross_products(model, costs, budget, sets)) starts.push_back(std::move(*exact));
  };
  for (auto sets : {alone, together}) {
    add(sets);
    if (!costs.half) continue;
    sets.push_back({*costs.half});
    add(sets);
  }
  return starts;
}

}  // namespace

std::optional<TunedTable> search_within_cost(const ErrorModel& model, const ReuseCosts& costs, int64_t budget,
                                             const std::optional<ReuseTable>& near, SearchEffort effort) {
  assert(costs.groups.size() == size_t(model.groups()));
  std::vector<ReuseTable> starts{all_computed(size_t(model.groups()), model.evaluations())};
  if (near) starts.push_back(*near);
  for (ReuseTable& start : exact_starts(model, costs, budget)) starts.push_back(std::move(start));
  std::vector<Searched> found;
  for (ReuseTable& start : starts) {
    Searched searched(model, costs, std::move(start));
    if (!come_within(searched, model, budget)) continue;
    fill_up(searched, model, budget);
    exchange(searched, model, costs, budget);
    found.push_back(std::move(searched));
  }
  if (found.empty()) return std::nullopt;
  const auto better = [](const Searched& a, const Searched& b) { return a.error() < b.error(); };
  std::stable_sort(found.begin(), found.end(), better);
  for (size_t i = 0; effort == SearchEffort::full && i < std::min<size_t>(2, found.size()); ++i) shake(found[i], model, costs, budget);
  return std::min_element(found.begin(), found.end(), better)->result();
}

std::optional<TunedTable> search_within_error(const ErrorModel& model, const ReuseCosts& costs, double error,
                                              const std::optional<ReuseTable>& near) {
  int64_t enough = costs.of(all_computed(size_t(model.groups()), model.evaluations())), too_little = 0;
  auto best = search_within_cost(model, costs, enough, near, SearchEffort::quick);
  if (!best || best->error > error) return std::nullopt;
  const int64_t close = enough / 500;
  while (enough - too_little > std::max<int64_t>(1, close)) {
    const int64_t middle = too_little + (enough - too_little) / 2;
    auto found = search_within_cost(model, costs, middle, best->table, SearchEffort::quick);
    if (found && found->error <= error) {
      enough = found->cost < middle ? std::max(found->cost, too_little + 1) : middle;
      best = std::move(found);
    } else {
      too_little = middle;
    }
  }
  if (auto found = search_within_cost(model, costs, enough, best->table); found && found->error < best->error) best = std::move(found);
  return best;
}

}  // namespace pyracast
