// Euler's method for flow matching (Lipman et al., arXiv 2210.02747; the shift: Esser et al., arXiv 2403.03206), as diffusers'
// FlowMatchEulerDiscreteScheduler.
#include <algorithm>
#include <cmath>

#include "diffusion/sampler_classes.hpp"
#include "diffusion/sigma_grid.hpp"

namespace pyracast {

namespace {

class FlowMatch final : public Sampler {
 public:
  FlowMatch(const Json& config, const std::string& where, int steps, const SamplerOptions& options)
      : stochastic_(value_or(config, "stochastic_sampling", false, where)) {
    integer_timesteps_ = false;
    const int train = int(count_value_or(config, "num_train_timesteps", 1000, where));
    const double shift = value_or(config, "shift", 1.0, where);
    const bool dynamic = value_or(config, "use_dynamic_shifting", false, where);
    require(!dynamic || options.mu, where, ": use_dynamic_shifting is true, and then the shift mu of the video must be given");
    const auto kind = value_or<std::string>(config, "time_shift_type", "exponential", where);
    require(kind == "exponential" || kind == "linear", where, ": time_shift_type is \"", kind, "\", expected exponential or linear");
    const auto shifted = [&](double s) { return shift * s / (1 + (shift - 1) * s); };
    const auto shifted_by_mu = [&](double s) {
      const double m = kind == "exponential" ? std::exp(*options.mu) : *options.mu;
      return m / (m + (1 / s - 1));
    };
    // The table's ends are shifted once already, and the grid between them once more: what the published code does.
    const double largest = dynamic ? 1 : shifted(1), smallest = dynamic ? 1.0 / train : shifted(1.0 / train);
    std::vector<double> sigmas = options.sigmas;
    require(sigmas.empty() || int(sigmas.size()) == steps, where, ": ", sigmas.size(), " sigmas for ", steps, " steps, expected as many");
    for (int i = 0; sigmas.empty() || int(sigmas.size()) < steps; ++i)
      sigmas.push_back(steps == 1 ? largest : largest + (smallest - largest) * i / (steps - 1));
    for (double& s : sigmas) s = dynamic ? shifted_by_mu(s) : shifted(s);
    if (const double terminal = value_or(config, "shift_terminal", 0.0, where); terminal != 0) {
      const double scale = (1 - sigmas.back()) / (1 - terminal);
      for (double& s : sigmas) s = 1 - (1 - s) / scale;
    }
    if (const auto spacing = sigma_spacing_of(config, where)) sigmas = spaced_sigmas(*spacing, sigmas.front(), sigmas.back(), steps);
    const bool inverted = value_or(config, "invert_sigmas", false, where);
    for (double& s : sigmas) {
      if (inverted) s = 1 - s;
      timesteps_.push_back(float(s * train));
    }
    sigmas_.assign(sigmas.begin(), sigmas.end());
    sigmas_.push_back(inverted ? 1 : 0);
  }

  Tensor step(const Tensor& output, const Tensor& x, const Noise& noise) override {
    const double sigma = sigmas_.at(step_), next = sigmas_.at(step_ + 1);
    ++step_;
    if (!stochastic_) return weighted(1, x, next - sigma, output);
    return weighted(1 - next, weighted(1, x, -sigma, output), next, noise());
  }

 private:
  bool stochastic_;
  size_t step_ = 0;
};

}  // namespace

std::unique_ptr<Sampler> make_flow_match(const Json& config, const std::string& where, int steps, const SamplerOptions& options) {
  return std::make_unique<FlowMatch>(config, where, steps, options);
}

}  // namespace pyracast
