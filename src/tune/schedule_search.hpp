#pragma once
#include <optional>

#include "tune/error_model.hpp"

namespace pyracast {

/// A table and what the model says of it.
struct TunedTable {
  ReuseTable table;
  double error = 0;
  int64_t cost = 0;
};

/// quick: one descent from each start; full: also from some tables beside what the two best of them end in.
enum class SearchEffort { quick, full };

/// The table of the least modelled error that costs at most `budget`, as far as it is found; nothing where none is that cheap.
/// It begins at the exact solutions without the products between segments (shortest paths and a knapsack), of each group by
/// itself and of all as one, with and without the unconditional half of guidance if that is a group, at one that gives up
/// computations one by one, each the one that saves most for its error, and at `near`, if given; each is then improved by exchanges
/// of computations until none helps. The best of them is given. The same input gives the same table.
std::optional<TunedTable> search_within_cost(const ErrorModel& model, const ReuseCosts& costs, int64_t budget,
                                             const std::optional<ReuseTable>& near = std::nullopt,
                                             SearchEffort effort = SearchEffort::full);

/// The cheapest table whose modelled error is at most `error`, as far as bisection over budgets finds it; nothing where even
/// computing everything errs more.
std::optional<TunedTable> search_within_error(const ErrorModel& model, const ReuseCosts& costs, double error,
                                              const std::optional<ReuseTable>& near = std::nullopt);

}  // namespace pyracast
