// Denoising diffusion probabilistic models (Ho et al., arXiv 2006.11239, eq. 7; learned variances: Nichol and Dhariwal,
// arXiv 2102.09672, eq. 15), as diffusers' DDPMScheduler.
#include <cmath>

#include "diffusion/sampler_classes.hpp"
#include "diffusion/timestep_grid.hpp"

namespace pyracast {

namespace {

class Ddpm final : public Sampler {
 public:
  Ddpm(const Json& config, const std::string& where, int steps)
      : table_(NoiseTable::from_json(config, where, false)), prediction_(prediction_of(config, where)), limit_(config, where),
        variance_(value_or<std::string>(config, "variance_type", "fixed_small", where)) {
    require(prediction_ != Prediction::flow, where, ": prediction_type is \"flow_prediction\", which DDPM has not");
    require(variance_ == "fixed_small" || variance_ == "fixed_small_log" || variance_ == "fixed_large" || learned(), where,
            ": variance_type is \"", variance_, "\", expected fixed_small, fixed_small_log, fixed_large, learned or learned_range");
    set_timesteps(TimestepSpacing::from_json(config, where, "leading").integers(steps));
  }

  Tensor step(const Tensor& output, const Tensor& x, const Noise& noise) override {
    const auto t = int64_t(timesteps_.at(step_++));
    const int64_t before = step_ < timesteps_.size() ? int64_t(timesteps_[step_]) : -1;
    const double a_all = table_.alphas_cumprod[size_t(t)], a_before = before >= 0 ? table_.alphas_cumprod[size_t(before)] : 1;
    const double a = a_all / a_before, b = 1 - a, root = std::sqrt(a_all), noise_root = std::sqrt(1 - a_all);
    Tensor prediction = output, learned_variance;
    if (learned() && output.dim(1) == 2 * x.dim(1)) {
      prediction = slice(output, 1, 0, x.dim(1));
      learned_variance = slice(output, 1, x.dim(1), output.dim(1));
    }
    Tensor x0 = prediction_ == Prediction::epsilon ? weighted(1 / root, x, -noise_root / root, prediction)
                : prediction_ == Prediction::v     ? weighted(root, x, -noise_root, prediction)
                                                   : prediction;
    x0 = limit_(x0);
    predicted_ = x0;
    const Tensor mean = weighted(std::sqrt(a_before) * b / (1 - a_all), x0, std::sqrt(a) * (1 - a_before) / (1 - a_all), x);
    if (t == 0) return mean;
    const double variance = std::max((1 - a_before) / (1 - a_all) * b, 1e-20);
    if (!learned()) return weighted(1, mean, variance_ == "fixed_large" ? std::sqrt(b) : std::sqrt(variance), noise());
    require(!learned_variance.empty(), "DDPM with a learned variance: the network's output is ", output.shape(), ", expected twice the channels of ",
            x.shape());
    std::vector<float> deviations = learned_variance.to_host();
    for (float& v : deviations) {
      const double share = (v + 1) / 2;
      v = float(variance_ == "learned" ? std::sqrt(double(v)) : std::exp(0.5 * (share * std::log(b) + (1 - share) * std::log(variance))));
    }
    return mean + Tensor(x.backend(), x.shape(), deviations) * noise();
  }

 private:
  NoiseTable table_;
  Prediction prediction_;
  SampleLimit limit_;
  std::string variance_;
  size_t step_ = 0;

  bool learned() const { return variance_ == "learned" || variance_ == "learned_range"; }
};

}  // namespace

std::unique_ptr<Sampler> make_ddpm(const Json& config, const std::string& where, int steps, const SamplerOptions&) {
  return std::make_unique<Ddpm>(config, where, steps);
}

}  // namespace pyracast
