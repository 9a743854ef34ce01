#include "tensor/tensor.hpp"

#include <algorithm>
#include <cassert>

namespace pyracast {

int64_t size_of(const Shape& shape) {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

Tensor::Tensor(Backend& backend, Shape shape, DType dtype)
    : backend_(&backend), shape_(std::move(shape)), dtype_(dtype), buffer_(backend.allocate(bytes())) {}

Tensor::Tensor(Backend& backend, Shape shape, const std::vector<float>& values) : Tensor(backend, std::move(shape)) {
  require(size() == int64_t(values.size()), "a tensor of shape ", shape_, " cannot hold ", values.size(), " values");
  backend.upload(values.data(), view());
}

int64_t Tensor::dim(int axis) const {
  const int index = axis < 0 ? axis + axes() : axis;
  assert(index >= 0 && index < axes());
  return shape_[size_t(index)];
}

Tensor Tensor::reshape(Shape shape) const {
  int64_t known = 1;
  for (const int64_t d : shape) known *= d == -1 ? 1 : d;
  for (int64_t& d : shape)
    if (d == -1) d = known ? size() / known : 0;
  require(size_of(shape) == size(), "reshape: ", shape_, " has not the elements of ", shape);
  Tensor out = *this;
  out.shape_ = std::move(shape);
  return out;
}

std::vector<float> Tensor::to_host() const {
  require(dtype_ == DType::float32 || dtype_ == DType::bfloat16, "to_host: expected a float32 or bfloat16 tensor, found ", name_of(dtype_));
  std::vector<float> values(static_cast<size_t>(size()));
  if (values.empty()) return values;
  if (dtype_ == DType::float32) {
    backend_->download(view(), values.data());
  } else {
    std::vector<bfloat16> narrow(values.size());
    backend_->download(view(), narrow.data());
    std::transform(narrow.begin(), narrow.end(), values.begin(), [](bfloat16 value) { return float(value); });
  }
  return values;
}

Tensor first_of(const Tensor& x, Shape shape) {
  require(size_of(shape) <= x.size(), "first_of: ", x.shape(), " has fewer elements than ", shape);
  return Tensor(x.backend(), std::move(shape), x.dtype(), x.buffer());
}

}  // namespace pyracast
