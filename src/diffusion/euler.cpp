// Euler's method along sigma (Karras et al., arXiv 2206.00364, algorithm 2) and its ancestral variant, as diffusers'
// EulerDiscreteScheduler and EulerAncestralDiscreteScheduler (Open-Sora-Plan v1.2).
#include <algorithm>
#include <cmath>

#include "diffusion/sampler_classes.hpp"
#include "diffusion/sigma_grid.hpp"
#include "diffusion/timestep_grid.hpp"

namespace pyracast {

namespace {

/// What both have in common: the grid of sigmas, the input's scaling, the clean latents.
class AlongSigma : public Sampler {
 public:
  Tensor model_input(const Tensor& x) const override {
    const double sigma = sigmas_.at(step_);
    return scaled(1 / std::sqrt(sigma * sigma + 1), x);
  }

 protected:
  Prediction prediction_;
  size_t step_ = 0;

  AlongSigma(const Json& config, const std::string& where, int steps) : prediction_(prediction_of(config, where)) {
    require(prediction_ != Prediction::flow, where, ": prediction_type is \"flow_prediction\", which Euler along sigma has not");
    integer_timesteps_ = false;
    const NoiseTable table = NoiseTable::from_json(config, where, true);
    const std::vector<float> of_table = table.sigmas();
    const TimestepSpacing spacing = TimestepSpacing::from_json(config, where, "linspace");
    timesteps_ = spacing.fractions(steps);
    std::vector<double> sigmas;
    for (const float t : timesteps_) sigmas.push_back(interpolated(of_table, t));
    if (const auto spaced = sigma_spacing_of(config, where)) {
      sigmas = spaced_sigmas(*spaced, sigmas.front(), sigmas.back(), steps);
      for (int i = 0; i < steps; ++i) timesteps_[size_t(i)] = float(timestep_of_sigma(of_table, sigmas[size_t(i)]));
    }
    const auto end = value_or<std::string>(config, "final_sigmas_type", "zero", where);
    require(end == "zero" || end == "sigma_min", where, ": final_sigmas_type is \"", end, "\", expected zero or sigma_min");
    sigmas_.assign(sigmas.begin(), sigmas.end());
    sigmas_.push_back(end == "zero" ? 0 : of_table.front());
    const float largest = *std::max_element(sigmas_.begin(), sigmas_.end());
    initial_sigma_ = spacing.kind == TimestepSpacing::Kind::leading ? std::sqrt(largest * largest + 1) : largest;
    // A grid that begins with the same timestep twice is entered at the second: what diffusers does.
    if (timesteps_.size() > 1 && timesteps_[1] == timesteps_[0]) step_ = 1;
  }

  /// x at noise `sigma`; `given`: the noise that the network was told of.
  Tensor clean(const Tensor& output, const Tensor& x, double sigma, double given) const {
    if (prediction_ == Prediction::epsilon) return weighted(1, x, -sigma, output);
    if (prediction_ == Prediction::sample) return output;
    return weighted(1 / (given * given + 1), x, -given / std::sqrt(given * given + 1), output);
  }
};

class Euler final : public AlongSigma {
 public:
  Euler(const Json& config, const std::string& where, int steps, const SamplerOptions& options)
      : AlongSigma(config, where, steps), options_(options) {
    const auto need = [&](const char* key, const char* only) {
      const auto got = value_or<std::string>(config, key, only, where);
      require(got == only, where, ": ", key, " is \"", got, "\"; only \"", only, "\" is supported");
    };
    need("interpolation_type", "linear");
    need("timestep_type", "discrete");
  }

  Tensor step(const Tensor& output, const Tensor& given, const Noise& noise) override {
    const double sigma = sigmas_.at(step_), next = sigmas_.at(step_ + 1);
    ++step_;
    const bool churns = options_.churn_min <= sigma && sigma <= options_.churn_max;
    const double gamma = churns ? std::min(options_.churn / double(sigmas_.size() - 1), std::sqrt(2.0) - 1) : 0;
    const double raised = sigma * (gamma + 1);
    const Tensor x = gamma > 0 ? weighted(1, given, options_.churn_noise * std::sqrt(raised * raised - sigma * sigma), noise()) : given;
    predicted_ = clean(output, x, raised, sigma);
    const double share = (next - raised) / raised;
    return weighted(1 + share, x, -share, predicted_);
  }

 private:
  SamplerOptions options_;
};

class EulerAncestral final : public AlongSigma {
 public:
  EulerAncestral(const Json& config, const std::string& where, int steps) : AlongSigma(config, where, steps) {
    require(prediction_ != Prediction::sample, where, ": prediction_type is \"sample\", which Euler ancestral has not");
  }

  // Noise is drawn at the last step too, where it counts nothing: that keeps a stream of noise aligned.
  Tensor step(const Tensor& output, const Tensor& x, const Noise& noise) override {
    const double sigma = sigmas_.at(step_), next = sigmas_.at(step_ + 1);
    ++step_;
    predicted_ = clean(output, x, sigma, sigma);
    const double up = std::sqrt(next * next * (sigma * sigma - next * next) / (sigma * sigma)), down = std::sqrt(next * next - up * up);
    const double share = (down - sigma) / sigma;
    return weighted(1, weighted(1 + share, x, -share, predicted_), up, noise());
  }
};

}  // namespace

std::unique_ptr<Sampler> make_euler(const Json& config, const std::string& where, int steps, const SamplerOptions& options) {
  return std::make_unique<Euler>(config, where, steps, options);
}

std::unique_ptr<Sampler> make_euler_ancestral(const Json& config, const std::string& where, int steps, const SamplerOptions&) {
  return std::make_unique<EulerAncestral>(config, where, steps);
}

}  // namespace pyracast
