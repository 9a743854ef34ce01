#pragma once
#include "comm/sequence_parallel.hpp"

namespace pyracast {

/// adaLN (Peebles and Xie, arXiv 2212.09748): a branch's input is normalised, shifted and scaled, and its output gated, by
/// values that follow from the timestep. All three are [batch or frames, channels].
struct Modulation {
  Tensor shift, scale, gate;
  float epsilon = 1e-6f;   ///< of the normalisation

  Tensor operator()(const Tensor& x) const { return modulate(layer_norm(x, epsilon), shift, scale); }

  /// The values of the entries that this rank holds.
  Modulation of_entries(const SequenceParallel& parallel) const {
    return {parallel.of_entries(shift), parallel.of_entries(scale), parallel.of_entries(gate), epsilon};
  }
};

}  // namespace pyracast
