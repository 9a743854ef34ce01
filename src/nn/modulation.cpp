#include "nn/modulation.hpp"

namespace pyracast {

Tensor table_plus_time(const Tensor& table, const Tensor& time, int64_t index) {
  const int64_t channels = table.dim(1), rows = time.dim(0);
  const Tensor row = repeat(slice(table, 0, index, index + 1), 0, rows);
  return row + slice(time.reshape({rows, -1, channels}), 1, index, index + 1).reshape({rows, channels});
}

std::pair<Modulation, Modulation> modulations(const Tensor& table, const Tensor& time, float epsilon) {
  const auto part = [&](int64_t i) { return table_plus_time(table, time, i); };
  return {{part(0), part(1), part(2), epsilon}, {part(3), part(4), part(5), epsilon}};
}

}  // namespace pyracast
