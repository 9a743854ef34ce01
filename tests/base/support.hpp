#pragma once
#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.hpp"
#include "base/weight_file.hpp"

namespace pyracast {

/// A folder of its own for one test, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "pyracast_XXXXXX").string();
    require(::mkdtemp(pattern.data()) != nullptr, pattern, ": cannot be made");
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  /// Writes a file and returns its path.
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// The message of the Error that `action` throws; "no error" when it throws none.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
    return "no error";
  } catch (const Error& error) {
    return error.what();
  }
}

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
