// Denoising diffusion implicit models (Song et al., arXiv 2010.02502, eq. 12 and 16), as diffusers' DDIMScheduler.
#include <cmath>

#include "diffusion/sampler_classes.hpp"
#include "diffusion/timestep_grid.hpp"

namespace pyracast {

namespace {

class Ddim final : public Sampler {
 public:
  Ddim(const Json& config, const std::string& where, int steps, const SamplerOptions& options)
      : table_(NoiseTable::from_json(config, where, false)), prediction_(prediction_of(config, where)), limit_(config, where), options_(options),
        stride_(table_.timesteps() / steps) {
    require(prediction_ != Prediction::flow, where, ": prediction_type is \"flow_prediction\", which DDIM has not");
    final_alpha_ = value_or(config, "set_alpha_to_one", true, where) ? 1 : table_.alphas_cumprod[0];
    set_timesteps(TimestepSpacing::from_json(config, where, "leading").integers(steps));
  }

  Tensor step(const Tensor& output, const Tensor& x, const Noise& noise) override {
    const auto t = int64_t(timesteps_.at(step_++)), before = t - stride_;
    const double a = table_.alphas_cumprod[size_t(t)], a_before = before >= 0 ? table_.alphas_cumprod[size_t(before)] : final_alpha_;
    const double root = std::sqrt(a), noise_root = std::sqrt(1 - a);
    Tensor x0, epsilon;
    switch (prediction_) {
      case Prediction::epsilon:
        x0 = weighted(1 / root, x, -noise_root / root, output);
        epsilon = output;
        break;
      case Prediction::sample:
        x0 = output;
        epsilon = weighted(1 / noise_root, x, -root / noise_root, output);
        break;
      default:
        x0 = weighted(root, x, -noise_root, output);
        epsilon = weighted(root, output, noise_root, x);
    }
    x0 = limit_(x0);
    predicted_ = x0;
    const double variance = (1 - a_before) / (1 - a) * (1 - a / a_before), deviation = options_.eta * std::sqrt(variance);
    if (options_.use_clipped_model_output) epsilon = weighted(1 / noise_root, x, -root / noise_root, x0);
    const Tensor out = weighted(std::sqrt(a_before), x0, std::sqrt(1 - a_before - deviation * deviation), epsilon);
    return options_.eta > 0 ? weighted(1, out, deviation, noise()) : out;
  }

 private:
  NoiseTable table_;
  Prediction prediction_;
  SampleLimit limit_;
  SamplerOptions options_;
  int64_t stride_;
  double final_alpha_ = 1;
  size_t step_ = 0;
};

}  // namespace

std::unique_ptr<Sampler> make_ddim(const Json& config, const std::string& where, int steps, const SamplerOptions& options) {
  return std::make_unique<Ddim>(config, where, steps, options);
}

}  // namespace pyracast
