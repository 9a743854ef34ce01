#pragma once
// HDF5's handles as values, and its calls checked. All of them are made on one thread of a process.
#include <hdf5.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/weight_file.hpp"

namespace pyracast::hdf5 {

/// Of a dataset with more rows; the last chunk is written whole.
inline constexpr hsize_t rows_a_chunk = 4096;

/// Throws Error with the innermost message of HDF5's error stack; its code is the environment's where the system refused
/// something (a full disk), bad_input where the file is not as it must be.
[[noreturn]] void fail_with_error_stack(const std::string& what);

/// Throws Error with HDF5's own text when a call returned a negative number.
template <class Result>
Result check(Result result, const std::string& what) {
  if (result < 0) fail_with_error_stack(what);
  return result;
}

/// An open HDF5 object. What was written to is closed by close(): HDF5 writes much of a dataset only then, and a destructor
/// tells nobody that the disk was full.
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*close)(hid_t), const std::string& what) : id_(check(id, what)), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }
  /// Closes now, and says whether that worked.
  void close(const std::string& what) {
    const hid_t id = std::exchange(id_, -1);
    if (id >= 0) check(close_(id), what);
  }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

/// In the format of HDF5 1.10, whose own structures have checksums: a flipped bit is an Error, not another file.
Handle create_file(const std::filesystem::path& path);
Handle open_file(const std::filesystem::path& path);
Handle create_group(hid_t parent, const std::string& name);
/// A variable-length UTF-8 string.
Handle string_type();

template <class T>
hid_t type_of();
template <>
inline hid_t type_of<float>() { return H5T_NATIVE_FLOAT; }
template <>
inline hid_t type_of<double>() { return H5T_NATIVE_DOUBLE; }
template <>
inline hid_t type_of<int64_t>() { return H5T_NATIVE_INT64; }
template <>
inline hid_t type_of<uint64_t>() { return H5T_NATIVE_UINT64; }
template <>
inline hid_t type_of<uint16_t>() { return H5T_NATIVE_UINT16; }
template <>
inline hid_t type_of<uint8_t>() { return H5T_NATIVE_UINT8; }

/// Writes a whole dataset [values] or of this shape, chunked, with a checksum for each chunk (numbers).
template <class T>
void write_dataset(hid_t parent, const std::string& name, const std::vector<T>& values, std::vector<hsize_t> shape = {});
void write_dataset(hid_t parent, const std::string& name, const std::vector<std::string>& values);

template <class T>
std::vector<T> read_dataset(hid_t parent, const std::string& name);
template <>
std::vector<std::string> read_dataset<std::string>(hid_t parent, const std::string& name);

/// Rows [first, first + count) of a dataset; of texts, their checksum, which is over all of them, is not looked at.
template <class T>
std::vector<T> read_rows(hid_t parent, const std::string& name, hsize_t first, hsize_t count);
/// How many rows a dataset has.
hsize_t row_count(hid_t parent, const std::string& name);
bool exists(hid_t parent, const std::string& name);

void write_attribute(hid_t object, const std::string& name, const std::string& value);
void write_attribute(hid_t object, const std::string& name, int64_t value);
std::string read_text_attribute(hid_t object, const std::string& name);
int64_t read_number_attribute(hid_t object, const std::string& name);

/// A dataset that grows along its first axis: [rows, shape...].
class GrowingDataset {
 public:
  /// One chunk holds `chunk_rows` rows. `type` must live as long as this.
  GrowingDataset(hid_t parent, const std::string& name, hid_t type, std::vector<hsize_t> row_shape, hsize_t chunk_rows);
  void append(const void* values, hsize_t rows);   // of texts: char*
  /// Writes what HDF5 still holds back, and says whether that worked.
  void close() { dataset_.close("writing " + name_); }
  hid_t id() const { return dataset_; }
  hsize_t rows() const { return rows_; }

 private:
  std::string name_;
  Handle dataset_;
  hid_t type_;
  std::vector<hsize_t> row_shape_;
  hsize_t rows_ = 0;
};

}  // namespace pyracast::hdf5
