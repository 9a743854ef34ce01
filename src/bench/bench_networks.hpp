#pragma once
#include <string>

#include "nn/weights.hpp"

namespace pyracast {

/// Which of a family's networks to time, at which size; 0 stands for the published one.
struct NetworkBench {
  std::string model = "opensora-1.2";
  bool text = false, step = false, decode = false;
  int64_t height = 0, width = 0, frames = 0;
  int64_t tokens = 0;                       ///< of the prompt
  int64_t blocks = 0, text_layers = 0;      ///< of the transformer (pairs, or single ones) and of the text encoder
  int64_t halves = 2;                       ///< of guidance in one evaluation: 2, or 1
  int64_t steps = 1;                        ///< evaluations to time
  bool json = false;
};

/// With the model's own sizes where none are given. Throws Error on a model that is not known and on sizes that cannot be.
NetworkBench sized(NetworkBench settings);

/// Times networks with random weights, one after the other, and prints a line for each as soon as it is known: seconds, CPU
/// seconds of all threads, the memory of the weights as kept, the largest resident memory of the phase.
/// `size`: of sized().
void bench_networks(const NetworkBench& size, Backend& backend, WeightStorage storage);

}  // namespace pyracast
