// Each evaluation passes the residual stream x through the sites in order, and each stored output passes from evaluation
// to evaluation: a grid of variables with two values, space or time. Neighbours that differ cost an exchange; an attention
// whose axis is dealt out costs two. Such a sum over pairs, each at its least where the two agree, has its minimum at a
// minimum cut of a graph (Greig, Porteous and Seheult 1989; Kolmogorov and Zabih 2004), which Boost finds.
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>
#include <map>

#include "plan/token_plan.hpp"

namespace pyracast {

namespace {

using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
using Edge = Traits::edge_descriptor;

struct Vertex {
  boost::default_color_type color{};
  Edge predecessor{};
  int64_t distance = 0;
};
struct Arc {
  int64_t capacity = 0, residual = 0;
  Edge reverse{};
};
using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, Vertex, Arc>;

/// Variables that are space or time, costs for values and for neighbours that differ, and the cheapest assignment.
class TwoWayCosts {
 public:
  int variable() { return int(boost::add_vertex(graph_)); }

  /// What `variable` costs where it is `axis`.
  void cost(int variable, Axis axis, int64_t cost) {
    if (axis == Axis::time) arcs(space_, variable, cost, 0);
    else arcs(variable, time_, cost, 0);
  }
  void cost_of_difference(int a, int b, int64_t cost) { arcs(a, b, cost, cost); }

  void minimise() {
    boost::boykov_kolmogorov_max_flow(graph_, boost::get(&Arc::capacity, graph_), boost::get(&Arc::residual, graph_),
                                      boost::get(&Arc::reverse, graph_), boost::get(&Vertex::predecessor, graph_),
                                      boost::get(&Vertex::color, graph_), boost::get(&Vertex::distance, graph_),
                                      boost::get(boost::vertex_index, graph_), space_, time_);
  }
  /// After minimise(). What is connected to neither side costs the same on both.
  Axis value(int variable) const {
    return graph_[size_t(variable)].color == graph_[space_].color ? Axis::space : Axis::time;
  }

 private:
  Graph graph_{2};
  static constexpr size_t space_ = 0, time_ = 1;

  void arcs(size_t from, size_t to, int64_t there, int64_t back) {
    const Edge a = boost::add_edge(from, to, graph_).first, b = boost::add_edge(to, from, graph_).first;
    graph_[a] = {there, 0, b};
    graph_[b] = {back, 0, a};
  }
};

}  // namespace

TokenPlan least_exchanges(const BroadcastSchedule& schedule, BranchOrder order, const TokenParts& parts, bool over_time) {
  TokenPlan plan(schedule, order, Axis::space);
  if (!over_time || parts.ranks == 1) return plan;
  const int64_t sites = int64_t(schedule.evaluations()) * schedule.blocks() * int64_t(order.size());
  const int64_t half = sites + 1, exchange = 2 * half;   // more than all preferences together
  const double along_space = parts.imbalance(Axis::space), along_time = parts.imbalance(Axis::time);

  TwoWayCosts costs;
  std::map<std::pair<int, Site>, int> resting, stored;
  for (int e = 0; e < schedule.evaluations(); ++e) {
    int before = -1;
    for (int block = 0; block < schedule.blocks(); ++block)
      for (const Branch branch : order) {
        const Site site{branch, block};
        const int x = resting[{e, site}] = costs.variable();
        if (before >= 0) costs.cost_of_difference(before, x, exchange);
        before = x;
        if (along_space != along_time) costs.cost(x, along_space < along_time ? Axis::time : Axis::space, 1);
        if (!schedule.reuses(e, site)) {
          if (const auto attended = attended_axis(branch)) costs.cost(x, *attended, 2 * exchange);
          stored[{e, site}] = x;   // an output lies where it was computed
          continue;
        }
        const int was = stored.at({e - 1, site});
        if (!schedule.needed_after(e, site)) {
          costs.cost_of_difference(was, x, exchange);
          continue;
        }
        // Moved once, the output may stay or be where it was: three variables cost one exchange unless all agree.
        const int is = stored[{e, site}] = costs.variable();
        costs.cost_of_difference(was, x, half);
        costs.cost_of_difference(x, is, half);
        costs.cost_of_difference(was, is, half);
      }
  }
  costs.minimise();
  for (const auto& [at, variable] : resting) plan.set_resting(at.first, at.second, costs.value(variable));
  for (const auto& [at, variable] : stored) {   // evaluation after evaluation
    const auto& [e, site] = at;
    const bool stays = schedule.reuses(e, site) && plan.stored(e - 1, site) == plan.resting(e, site);
    plan.set_stored(e, site, stays ? plan.resting(e, site) : costs.value(variable));
  }
  return plan;
}

}  // namespace pyracast
