#pragma once
#include <vector>

#include "tune/reuse_table.hpp"

namespace pyracast {

/// The end-to-end error of a reuse table: how far the final latents lie from those of the reference, squared.
///
/// To first order each reuse moves the latents by a vector, and the vectors add up: error = |offset + sum of a_i effect_i|^2,
/// averaged over samples. Effect i is measured: what reusing one group at one evaluation, one evaluation after it was
/// computed, does to the final latents. Over longer distances it grows as the group's output does: a_i is the sum of the
/// output's changes since it was computed over its last one. So reuse in a row adds up as coherently as it really does, and
/// what cancels out, within a group or between groups, is seen.
class ErrorModel {
 public:
  /// `products` [sites][sites]: inner products of effects, with sites = groups x (evaluations - 1), group by group;
  /// `changes` [groups][evaluations]: size of the output's change from the evaluation before (element 0 is not used).
  ErrorModel(int groups, int evaluations, std::vector<double> products, std::vector<std::vector<double>> changes);

  int groups() const { return groups_; }
  int evaluations() const { return evaluations_; }
  size_t sites() const { return size_t(groups_ * (evaluations_ - 1)); }
  /// `evaluation` from 1.
  size_t site(size_t group, int evaluation) const { return group * size_t(evaluations_ - 1) + size_t(evaluation) - 1; }

  /// What is there without any reuse, or was found beside the model: inner products of effects and offset [sites], and the
  /// offset's own square.
  void set_offset(std::vector<double> products, double square);

  /// a_i: 1 at a distance of one, 0 where nothing is reused.
  std::vector<double> amplitudes(const ReuseTable& table) const;
  /// The same of one group, [evaluations - 1].
  std::vector<double> amplitudes(size_t group, const std::vector<bool>& reuse) const;
  double error(const ReuseTable& table) const;

  /// Size of the output's change at an evaluation, and a_i where changes of `since` have summed up when it is reused there.
  double change(size_t group, int evaluation) const { return changes_[group][size_t(evaluation)]; }
  double amplitude(size_t group, int evaluation, double since) const {
    const double last = change(group, evaluation);
    return last > 0 ? since / last : 1;
  }

  double product(size_t i, size_t j) const { return products_[i * sites() + j]; }
  const std::vector<double>& offset_products() const { return offset_products_; }

 private:
  int groups_, evaluations_;
  std::vector<double> products_, offset_products_;
  double offset_square_ = 0;
  std::vector<std::vector<double>> changes_;
};

}  // namespace pyracast
