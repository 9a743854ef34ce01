#pragma once
#include <gmock/gmock.h>

#include "base/weight_file.hpp"
#include "tests/base/temporary_folder.hpp"

namespace pyracast {

/// The elements of a stored tensor as T, which must have their size.
template <class T>
std::vector<T> elements(const StoredTensor& tensor) {
  require(size_of(tensor.dtype) == sizeof(T) && tensor.bytes.size() % sizeof(T) == 0, "wrong element size");
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

/// A tensor that owns a copy of `values`.
template <class T>
StoredTensor stored(DType dtype, Shape shape, const std::vector<T>& values) {
  const auto copy = std::make_shared<std::vector<T>>(values);
  return {.dtype = dtype, .shape = std::move(shape), .bytes = std::as_bytes(std::span(*copy)), .owner = copy,
          .file = "memory"};
}

inline std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// `number` as little-endian bytes.
template <class Number>
std::string little_endian(Number number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace pyracast
