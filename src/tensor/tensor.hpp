#pragma once
#include <vector>

#include "base/error.hpp"
#include "kernels/backend.hpp"

namespace pyracast {

/// Elements of a shape.
int64_t size_of(const Shape& shape);

/// A value: shape, type and a buffer on a device, shared by copies. Always contiguous and row-major; operations
/// (tensor/ops.hpp) never change their arguments.
class Tensor {
 public:
  Tensor() = default;
  /// Not initialised.
  Tensor(Backend& backend, Shape shape, DType dtype = DType::float32);
  /// In memory that holds its elements already.
  Tensor(Backend& backend, Shape shape, DType dtype, std::shared_ptr<void> buffer)
      : backend_(&backend), shape_(std::move(shape)), dtype_(dtype), buffer_(std::move(buffer)) {}
  /// From values in the host's memory.
  Tensor(Backend& backend, Shape shape, const std::vector<float>& values);

  bool empty() const { return !buffer_; }
  const Shape& shape() const { return shape_; }
  /// Size along an axis; negative axes count from the end.
  int64_t dim(int axis) const;
  int axes() const { return int(shape_.size()); }
  int64_t size() const { return size_of(shape_); }
  size_t bytes() const { return size_t(size()) * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  Backend& backend() const { return *backend_; }
  View view() const { return {buffer_.get(), dtype_, shape_}; }
  const std::shared_ptr<void>& buffer() const { return buffer_; }

  /// The same elements under another shape; at most one size may be -1 and is worked out.
  Tensor reshape(Shape shape) const;
  /// The elements in the host's memory, float32; of a float32 or bfloat16 tensor.
  std::vector<float> to_host() const;

 private:
  Backend* backend_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::float32;
  std::shared_ptr<void> buffer_;

  static size_t size_of(DType type) { return pyracast::size_of(type); }
  static int64_t size_of(const Shape& shape) { return pyracast::size_of(shape); }
};

}  // namespace pyracast
