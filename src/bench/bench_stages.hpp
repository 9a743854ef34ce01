#pragma once
#include <functional>
#include <string>
#include <vector>

#include "nn/weights.hpp"

namespace pyracast {

/// A piece of work of the networks that can be timed by itself.
struct BenchStage {
  std::string name;
  double flop = 0;    ///< floating-point operations of a run that no implementation can leave out
  double bytes = 0;   ///< of its inputs, weights and outputs, each once
  /// Makes weights and inputs, random ones, and gives the function that runs the stage once.
  std::function<std::function<void()>(Backend&, WeightStorage)> prepare;
};

/// STDiT3's sizes that stages follow from.
struct BenchSizes {
  int64_t hidden, heads;
  int64_t batch, frames, space;   ///< tokens
  int64_t keys;                   ///< valid tokens of the text, of all batch entries
  int64_t gemm_rows;
  std::vector<int64_t> vae_widths;   ///< AutoencoderKL's block_out_channels
  int64_t vae_layers, vae_groups, picture;
  int64_t text_width, text_inner, text_heads, text_tokens;   ///< T5
};

/// "published" (240p, a clip of one half of guidance), "480p" (51 frames, both halves: what keeps a GPU busy) or "demo". Throws Error on another name.
BenchSizes bench_sizes(const std::string& name);

/// Matrix products, convolutions, attentions, norms, the MLP, a pair of blocks of STDiT3 and of Latte, the decoding of a
/// picture, a layer of T5.
std::vector<BenchStage> bench_stages(const BenchSizes& sizes);

/// Runs a prepared stage: a function of its own, by whose name a profiler can tell when to count.
[[gnu::noinline]] void run_stage(const std::function<void()>& prepared);

/// Values between -1 and 1.
Tensor random_input(Backend& backend, const Shape& shape);

}  // namespace pyracast
