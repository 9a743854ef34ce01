#pragma once
#include "tensor/ops.hpp"

namespace pyracast {

/// The axes along which a space-time network attends.
enum class Axis { space, time };

/// Gives attention its sequences. Tokens rest as x [batch, time, space, channels]; where they are spread over the ranks
/// of a team, this is the object that would move them: a model only says along which axis it attends.
class SequenceParallel {
 public:
  /// f maps sequences [n, length, channels] that run along the whole of `axis` to the same shape.
  template <class F>
  Tensor along(Axis axis, const Tensor& x, F f) const {
    const int64_t batch = x.dim(0), time = x.dim(1), space = x.dim(2), channels = x.dim(3);
    if (axis == Axis::space) return f(x.reshape({batch * time, space, channels})).reshape(x.shape());
    const Tensor rows = f(permute(x, {0, 2, 1, 3}).reshape({batch * space, time, channels}));
    return permute(rows.reshape({batch, space, time, channels}), {0, 2, 1, 3});
  }
};

}  // namespace pyracast
