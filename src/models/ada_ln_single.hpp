#pragma once
#include "nn/layers.hpp"
#include "tensor/observer.hpp"

namespace pyracast {

/// The time embedding of the PixArt family (arXiv 2310.00426, adaLN-single); keys emb.timestep_embedder.linear_1, linear_2,
/// linear.
class AdaLnSingle {
 public:
  AdaLnSingle() = default;
  AdaLnSingle(const Weights& weights, int64_t hidden)
      : first_(weights / "emb" / "timestep_embedder" / "linear_1", 256, hidden),
        second_(weights / "emb" / "timestep_embedder" / "linear_2", hidden, hidden), all_(weights / "linear", hidden, 6 * hidden) {}

  struct Embedding {
    Tensor timestep;   ///< [batch, hidden]: what the output layer is modulated by
    Tensor blocks;     ///< [batch, 6 hidden]: what the blocks are
  };
  /// Shows adaln_single.embedded_timestep and adaln_single.timestep6.
  Embedding operator()(Backend& backend, const std::vector<float>& timesteps, const Observer& observe) const {
    const Tensor embedded = second_(first_(sinusoidal_embedding(backend, timesteps, 256), Activation::silu));
    observe("adaln_single.embedded_timestep", embedded);
    const Tensor blocks = all_(activate(embedded, Activation::silu));
    observe("adaln_single.timestep6", blocks);
    return {embedded, blocks};
  }

 private:
  Linear first_, second_, all_;
};

/// Patches of x [batch, frames, rows, columns, (patch row, patch column, channel)] put back: [batch, channels, frames, height,
/// width].
inline Tensor unpatchified(const Tensor& x, int64_t patch, int64_t channels) {
  const int64_t batch = x.dim(0), frames = x.dim(1), rows = x.dim(2), columns = x.dim(3);
  return permute(x.reshape({batch, frames, rows, columns, patch, patch, channels}), {0, 6, 1, 2, 4, 3, 5})
      .reshape({batch, channels, frames, rows * patch, columns * patch});
}

/// [sin(p w_0) …, cos(p w_0) …] with w_k = 10000^(-k / (size / 2)), in double: `size` numbers appended to a table.
void append_sinusoid(std::vector<float>& table, double position, int64_t size);

/// The bias of masked tokens, [batch * frames, rows * columns], of a mask over latents [batch * frames, height, width]: a
/// token counts where one of its latents does.
Tensor token_bias(Backend& backend, const std::vector<float>& kept, int64_t frames, int64_t height, int64_t width, int64_t patch);

}  // namespace pyracast
