#pragma once
#include "tests/kernels/devices.hpp"

namespace pyracast {

struct LinearSizes {
  int64_t rows, depth, columns;
};

/// What comes of gates [groups, columns] on a linear that is added to something, and the two as add_gated() adds them.
inline std::pair<std::vector<float>, std::vector<float>> gated_linear_of(Backend& device, const LinearSizes& s, int64_t groups, DType dtype,
                                                                         Packing weights) {
  const DeviceArray x(device, {s.rows, s.depth}, random_values(s.rows * s.depth, 1), dtype), bias(device, {s.columns}, random_values(s.columns, 3)),
      gate(device, {groups, s.columns}, random_values(groups * s.columns, 4)),
      residual(device, {groups, s.rows / groups, s.columns}, random_values(s.rows * s.columns, 7), dtype);
  const PackedWeights weight = device.pack(DeviceArray(device, {s.columns, s.depth}, random_values(s.columns * s.depth, 2)).view, weights);
  const DeviceArray product(device, residual.view.shape, dtype), expected(device, residual.view.shape, dtype),
      out(device, residual.view.shape, dtype);
  device.linear(x.view, weight, &bias.view, Activation::none, product.view);
  device.add_gated(residual.view, product.view, gate.view, expected.view);
  device.linear(x.view, weight, &bias.view, Activation::none, out.view, &residual.view, &gate.view);
  return {out.values(), expected.values()};
}

// A run of rows with one gate ends within a block of rows, or a row is one.
inline const std::pair<LinearSizes, int64_t> gated_linears[] = {{{1, 8, 8}, 1}, {{7, 40, 33}, 7}, {{500, 24, 72}, 4}, {{66, 200, 40}, 2}};

}  // namespace pyracast
