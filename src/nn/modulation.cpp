#include "nn/modulation.hpp"

namespace pyracast {

// Few operations, since each is a launch on a GPU: the sum of all parts, then each part by itself.
std::pair<Modulation, Modulation> modulations(const Tensor& table, const Tensor& time, float epsilon) {
  const int64_t parts = table.dim(0), channels = table.dim(1), rows = time.dim(0);
  const Tensor row = table.reshape({1, parts * channels});
  const Tensor sums = modulate(time.reshape({rows, parts * channels}), row, zeros(time.backend(), row.shape()));   // time + row
  const Tensor by_part = permute(sums.reshape({rows, parts, channels}), {1, 0, 2});
  const auto part = [&](int64_t i) { return slice(by_part, 0, i, i + 1).reshape({rows, channels}); };
  return {{part(0), part(1), part(2), epsilon}, {part(3), part(4), part(5), epsilon}};
}

}  // namespace pyracast
