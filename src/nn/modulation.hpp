#pragma once
#include "comm/sequence_parallel.hpp"

namespace pyracast {

/// adaLN (Peebles and Xie, arXiv 2212.09748): a branch's input is normalised, shifted and scaled, and its output gated, by
/// values that follow from the timestep. All three are [batch or frames, channels].
struct Modulation {
  Tensor shift, scale, gate;
  float epsilon = 1e-6f;   ///< of the normalisation

  Tensor operator()(const Tensor& x) const { return modulated_norm(x, epsilon, shift, scale); }

  /// The values of the entries that this rank holds.
  Modulation of_entries(const SequenceParallel& parallel) const {
    return {parallel.of_entries(shift), parallel.of_entries(scale), parallel.of_entries(gate), epsilon};
  }
};

/// The modulations of attention and MLP, of a block's scale_shift_table [6, channels] and the time embedding
/// [n, 6 channels]: shift, scale and gate of the one, then of the other (PixArt-alpha, arXiv 2310.00426: adaLN-single).
std::pair<Modulation, Modulation> modulations(const Tensor& table, const Tensor& time, float epsilon);

}  // namespace pyracast
