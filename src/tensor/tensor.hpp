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

/// The first elements of x, in its memory, under a shape of so many.
Tensor first_of(const Tensor& x, Shape shape);

/// What x, of the type T, holds behind all that was asked for before, in the host's memory: called once, in any thread. Till then it holds x.
/// See Backend::download_later.
template <class T>
std::function<std::vector<T>()> to_host_later(const Tensor& x) {
  require(size_of(x.dtype()) == sizeof(T), "to_host_later: elements of ", sizeof(T), " bytes of a tensor of ", name_of(x.dtype()));
  return [x, copy = x.backend().download_later(x.view())] {
    std::vector<T> values(static_cast<size_t>(x.size()));
    copy(values.data());
    return values;
  };
}

}  // namespace pyracast
