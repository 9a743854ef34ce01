#pragma once
// A strided copy in the fewest axes and the widest elements that it allows; worked out on the host, tested there.
#include <algorithm>
#include <cstdlib>

#include "base/error.hpp"
#include "kernels/arithmetic.hpp"

namespace pyracast::cuda {

/// Element i0, i1, ... of the shape is moved from in_offset + sum of i * in_strides to where the out_ numbers say, all
/// in elements of `element` bytes. Handed to the kernel as it stands.
struct CopyPlan {
  static constexpr int most_axes = 8;
  int axes = 0;
  int64_t shape[most_axes] = {}, in_strides[most_axes] = {}, out_strides[most_axes] = {};
  int64_t in_offset = 0, out_offset = 0, element = 0, elements = 1;

  bool contiguous() const { return axes == 0 || (axes == 1 && in_strides[0] == 1 && out_strides[0] == 1); }

  /// The largest offset that the copy touches on either side.
  int64_t farthest() const {
    int64_t in = in_offset, out = out_offset;
    for (int a = 0; a < axes; ++a) {
      in += (shape[a] - 1) * in_strides[a];
      out += (shape[a] - 1) * out_strides[a];
    }
    return std::max(in, out);
  }

  struct Place {
    int64_t in, out;
  };
  /// Where the element with this index, 0 <= index < elements, comes from and goes to.
  template <class Index>
  constexpr Place place(Index index) const {
    Index in = Index(in_offset), out = Index(out_offset);
    for (int a = axes; a-- > 1;) {
      const Index at = index % Index(shape[a]);
      index /= Index(shape[a]);
      in += at * Index(in_strides[a]);
      out += at * Index(out_strides[a]);
    }
    if (axes > 0) {
      in += index * Index(in_strides[0]);
      out += index * Index(out_strides[0]);
    }
    return {int64_t(in), int64_t(out)};
  }
};

/// Joins axes that lie behind one another on both sides, drops those of one element, and takes up to 16 bytes as one
/// element where all offsets and strides allow (the memory itself is aligned so).
inline CopyPlan plan_copy(size_t element, int64_t in_offset, const Shape& in_strides, int64_t out_offset,
                          const Shape& out_strides, const Shape& shape) {
  CopyPlan plan;
  plan.in_offset = in_offset;
  plan.out_offset = out_offset;
  plan.element = int64_t(element);
  for (size_t i = 0; i < shape.size(); ++i) {
    plan.elements *= shape[i];
    if (shape[i] == 1) continue;
    const int last = plan.axes - 1;
    if (last >= 0 && plan.in_strides[last] == in_strides[i] * shape[i] && plan.out_strides[last] == out_strides[i] * shape[i]) {
      plan.shape[last] *= shape[i];
      plan.in_strides[last] = in_strides[i];
      plan.out_strides[last] = out_strides[i];
    } else {
      require(plan.axes < CopyPlan::most_axes, "a copy of shape ", shape, " has more than ", int(CopyPlan::most_axes), " axes");
      plan.shape[plan.axes] = shape[i];
      plan.in_strides[plan.axes] = in_strides[i];
      plan.out_strides[plan.axes] = out_strides[i];
      ++plan.axes;
    }
  }
  const int last = plan.axes - 1;
  if (last < 0 || plan.in_strides[last] != 1 || plan.out_strides[last] != 1) return plan;
  const auto all_even = [&] {
    bool even = plan.shape[last] % 2 == 0 && plan.in_offset % 2 == 0 && plan.out_offset % 2 == 0;
    for (int a = 0; a < last; ++a) even = even && plan.in_strides[a] % 2 == 0 && plan.out_strides[a] % 2 == 0;
    return even;
  };
  for (; plan.element < 16 && all_even(); plan.element *= 2) {
    plan.shape[last] /= 2;
    plan.in_offset /= 2;
    plan.out_offset /= 2;
    plan.elements /= 2;
    for (int a = 0; a < last; ++a) {
      plan.in_strides[a] /= 2;
      plan.out_strides[a] /= 2;
    }
  }
  return plan;
}

}  // namespace pyracast::cuda
