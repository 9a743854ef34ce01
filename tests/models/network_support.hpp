#pragma once
#include <omp.h>

#include <map>

#include "base/random.hpp"
#include "nn/weights.hpp"
#include "tests/base/support.hpp"
#include "tests/kernels/shared_out.hpp"

namespace pyracast {

/// Runs `action` with so many OpenMP threads, also what is too little to be worth them.
template <class Action>
auto with_threads(int threads, Action action) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  const SharedOut everything;
  auto result = action();
  omp_set_num_threads(before);
  return result;
}

/// Normal numbers of their own for each name.
inline std::vector<float> random_values(const std::string& name, const Shape& shape, float scale = 1) {
  std::vector<float> values(size_t(size_of(shape)));
  standard_normal(7, name, 0, 0, values);
  for (float& value : values) value *= scale;
  return values;
}

/// Weights of these shapes, drawn so that a Linear keeps its input's size; those of norms lie around 1.
inline StoredTensors random_weights(const std::map<std::string, Shape>& shapes) {
  StoredTensors tensors;
  for (const auto& [name, shape] : shapes) {
    int64_t fan_in = 1;
    for (size_t i = 1; i < shape.size(); ++i) fan_in *= shape[i];
    const bool norm = name.find("norm") != std::string::npos;
    std::vector<float> values = random_values(name, shape, shape.size() > 1 ? 1 / std::sqrt(float(fan_in)) : 0.1f);
    if (norm) for (float& value : values) value += 1;
    tensors.emplace(name, stored(DType::float32, shape, values));
  }
  return tensors;
}

/// Root mean square of a - b over that of b.
inline double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(double(a[i]) - b[i], 2);
    size += std::pow(double(b[i]), 2);
  }
  return std::sqrt(difference / size);
}

}  // namespace pyracast
