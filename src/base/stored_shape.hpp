#pragma once
#include <optional>

#include "base/weight_file.hpp"

namespace pyracast {

/// Number of elements of a shape read from a file. Nothing when a size is negative or the product of the sizes (zeros
/// left out, so that no stride overflows either) exceeds 63 bits.
inline std::optional<int64_t> element_count(const Shape& shape) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) empty = true;
    if (size > 0 && __builtin_mul_overflow(product, size, &product)) return std::nullopt;
  }
  return empty ? 0 : product;
}

/// The bytes those elements take, with the same rule.
inline std::optional<int64_t> byte_count(DType dtype, const Shape& shape) {
  const auto count = element_count(shape);
  int64_t bytes = 0;
  if (!count || __builtin_mul_overflow(*count, int64_t(size_of(dtype)), &bytes)) return std::nullopt;
  return bytes;
}

}  // namespace pyracast
