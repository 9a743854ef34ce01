#include "tune/error_model.hpp"

#include <cassert>

namespace pyracast {

ErrorModel::ErrorModel(int groups, int evaluations, std::vector<double> products, std::vector<std::vector<double>> changes)
    : groups_(groups), evaluations_(evaluations), products_(std::move(products)), offset_products_(sites(), 0), changes_(std::move(changes)) {
  assert(products_.size() == sites() * sites() && changes_.size() == size_t(groups));
}

void ErrorModel::set_offset(std::vector<double> products, double square) {
  assert(products.size() == sites());
  offset_products_ = std::move(products);
  offset_square_ = square;
}

std::vector<double> ErrorModel::amplitudes(size_t group, const std::vector<bool>& reuse) const {
  std::vector<double> amplitudes(size_t(evaluations_ - 1), 0);
  double since = 0;
  for (int e = 1; e < evaluations_; ++e) {
    since = reuse[size_t(e)] ? since + change(group, e) : 0;
    if (reuse[size_t(e)]) amplitudes[size_t(e) - 1] = amplitude(group, e, since);
  }
  return amplitudes;
}

std::vector<double> ErrorModel::amplitudes(const ReuseTable& table) const {
  std::vector<double> all;
  for (size_t group = 0; group < table.size(); ++group) {
    const std::vector<double> own = amplitudes(group, table[group]);
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

double ErrorModel::error(const ReuseTable& table) const {
  const std::vector<double> a = amplitudes(table);
  double error = offset_square_;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == 0) continue;
    double row = 2 * offset_products_[i];
    for (size_t j = 0; j < a.size(); ++j) row += product(i, j) * a[j];
    error += a[i] * row;
  }
  return error;
}

}  // namespace pyracast
