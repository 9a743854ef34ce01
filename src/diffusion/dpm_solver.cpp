// DPM-Solver and DPM-Solver++ of orders one to three (Lu et al., arXiv 2206.00927 and 2211.01095), as diffusers'
// DPMSolverMultistepScheduler. With lambda = ln(alpha / sigma), h its step: names as in the papers.
#include <algorithm>
#include <cmath>
#include <deque>

#include "diffusion/sampler_classes.hpp"
#include "diffusion/sigma_grid.hpp"
#include "diffusion/timestep_grid.hpp"

namespace pyracast {

namespace {

constexpr int few_steps = 15;   // fewer than these end with lower orders

class DpmSolver final : public Sampler {
 public:
  DpmSolver(const Json& config, const std::string& where, int steps)
      : prediction_(prediction_of(config, where)), algorithm_(value_or<std::string>(config, "algorithm_type", "dpmsolver++", where)),
        order_(int(count_value_or(config, "solver_order", 2, where))), lower_order_final_(value_or(config, "lower_order_final", true, where)),
        euler_at_final_(value_or(config, "euler_at_final", false, where)), flow_(value_or(config, "use_flow_sigmas", false, where)) {
    const auto type = value_or<std::string>(config, "solver_type", "midpoint", where);
    require(type == "midpoint" || type == "heun", where, ": solver_type is \"", type, "\", expected midpoint or heun");
    heun_ = type == "heun";
    require(algorithm_ == "dpmsolver++" || algorithm_ == "dpmsolver" || algorithm_ == "sde-dpmsolver++", where, ": algorithm_type is \"",
            algorithm_, "\", expected dpmsolver, dpmsolver++ or sde-dpmsolver++");
    require(order_ <= 3, where, ": solver_order is ", order_, ", expected 1, 2 or 3");
    require(algorithm_ != "dpmsolver" || prediction_ == Prediction::epsilon, where, ": dpmsolver needs the prediction_type epsilon");
    set_grid(config, where, steps);
  }

  Tensor step(const Tensor& output, const Tensor& x, const Noise& noise) override {
    const size_t last = timesteps_.size() - 1;
    const bool is_last = step_ == last, few = last + 1 < few_steps;
    const bool first_order = is_last && (euler_at_final_ || (lower_order_final_ && few) || sigmas_.back() == 0);
    const bool second_order = step_ + 1 == last && lower_order_final_ && few;
    outputs_.push_front(converted(output, x));
    while (int(outputs_.size()) > order_) outputs_.pop_back();
    const int order = order_ == 1 || done_ < 1 || first_order ? 1 : order_ == 2 || done_ < 2 || second_order ? 2 : 3;
    Tensor out = algorithm_ == "sde-dpmsolver++" ? stochastic(order, x, noise) : deterministic(order, x);
    ++step_;
    ++done_;
    return out;
  }

 private:
  Prediction prediction_;
  std::string algorithm_;
  int order_;
  bool lower_order_final_, euler_at_final_, flow_, heun_ = false;
  size_t step_ = 0;
  int done_ = 0;
  std::deque<Tensor> outputs_;   // the newest first

  struct Point {
    double alpha, sigma, lambda;
  };
  Point at(size_t index) const {
    const double s = sigmas_.at(index);
    const double alpha = flow_ ? 1 - s : 1 / std::sqrt(s * s + 1), sigma = flow_ ? s : s * alpha;
    return {alpha, sigma, std::log(alpha) - std::log(sigma)};
  }

  void set_grid(const Json& config, const std::string& where, int steps) {
    const NoiseTable table = NoiseTable::from_json(config, where, true);
    const std::vector<float> of_table = table.sigmas();
    const int train = table.timesteps();
    int last = train;   // the timestep of the most noise, and one
    if (config.contains("lambda_min_clipped") && config.at("lambda_min_clipped").is_number()) {
      const double clip = config.at("lambda_min_clipped").get<double>();
      int index = 0;
      while (index < train && -std::log(double(of_table[size_t(train - 1 - index)])) < clip) ++index;
      last = train - index;
    }
    const TimestepSpacing spacing = TimestepSpacing::from_json(config, where, "linspace");
    require(steps >= 1 && steps < last, steps, " denoising steps, expected 1 to ", last - 1);
    std::vector<int64_t> grid;
    for (int i = steps; i > 0; --i) {
      switch (spacing.kind) {
        case TimestepSpacing::Kind::linspace: grid.push_back(int64_t(std::nearbyint(i * (double(last - 1) / steps)))); break;
        case TimestepSpacing::Kind::leading: grid.push_back(int64_t(i) * (last / (steps + 1)) + spacing.offset); break;
        case TimestepSpacing::Kind::trailing: grid.push_back(int64_t(std::nearbyint(last - (steps - i) * (double(train) / steps))) - 1);
      }
    }
    std::vector<double> sigmas;
    if (const auto spaced = sigma_spacing_of(config, where)) {
      sigmas = spaced_sigmas(*spaced, of_table.back(), of_table.front(), steps);
      const bool whole = value_or<std::string>(config, "beta_schedule", "linear", where) != "squaredcos_cap_v2";
      timesteps_.clear();
      for (const double sigma : sigmas) {
        const double t = timestep_of_sigma(of_table, sigma);
        timesteps_.push_back(float(whole ? std::nearbyint(t) : t));
      }
      integer_timesteps_ = whole;
    } else if (flow_) {
      const double shift = value_or(config, "flow_shift", 1.0, where);
      for (int i = steps; i > 0; --i) {
        const double s = 1 - (1 + (1.0 / train - 1) * i / steps);
        sigmas.push_back(shift * s / (1 + (shift - 1) * s));
        timesteps_.push_back(float(int64_t(sigmas.back() * train)));
      }
    } else {
      set_timesteps(grid);
      for (const float t : timesteps_) sigmas.push_back(interpolated(of_table, t));
    }
    const auto end = value_or<std::string>(config, "final_sigmas_type", "zero", where);
    require(end == "zero" || end == "sigma_min", where, ": final_sigmas_type is \"", end, "\", expected zero or sigma_min");
    require(end != "zero" || algorithm_ != "dpmsolver", where, ": final_sigmas_type is \"zero\", which dpmsolver cannot end with: use sigma_min");
    sigmas_.assign(sigmas.begin(), sigmas.end());
    sigmas_.push_back(end == "zero" ? 0 : flow_ ? sigmas_.back() : of_table.front());
    if (timesteps_.size() > 1 && timesteps_[1] == timesteps_[0]) step_ = 1;   // as diffusers enters such a grid
  }

  /// The clean latents that the output stands for (++), or its noise.
  Tensor converted(const Tensor& output, const Tensor& x) const {
    if (algorithm_ == "dpmsolver") return output;
    const Point now = at(step_);
    switch (prediction_) {
      case Prediction::epsilon: return weighted(1 / now.alpha, x, -now.sigma / now.alpha, output);
      case Prediction::sample: return output;
      case Prediction::v: return weighted(now.alpha, x, -now.sigma, output);
      default: return weighted(1, x, -double(sigmas_[step_]), output);
    }
  }

  /// First and second differences of the outputs over lambda; h: the step to the next point.
  Tensor slope(double h) const {
    const double h0 = at(step_).lambda - at(step_ - 1).lambda;
    return weighted(h / h0, outputs_[0], -h / h0, outputs_[1]);
  }

  Tensor deterministic(int order, const Tensor& x) const {
    const Point next = at(step_ + 1), now = at(step_);
    if (next.sigma == 0) return outputs_[0];   // h is infinite
    const bool plus = algorithm_ != "dpmsolver";
    const double h = next.lambda - now.lambda;
    // x_t = keep x - scale e m0 - …: (alpha, exp(-h) - 1) for clean latents, (sigma, exp(h) - 1) for noise.
    const double e = plus ? std::exp(-h) - 1 : std::exp(h) - 1, scale = plus ? next.alpha : next.sigma;
    const double keep = plus ? next.sigma / now.sigma : next.alpha / now.alpha;
    const Tensor first = weighted(keep, x, -scale * e, outputs_[0]);
    if (order == 1) return first;
    const double linear = plus ? scale * (e / h + 1) : -scale * (e / h - 1);
    if (order == 2) return weighted(1, first, heun_ ? linear : -0.5 * scale * e, slope(h));
    const double h0 = now.lambda - at(step_ - 1).lambda, h1 = at(step_ - 1).lambda - at(step_ - 2).lambda;
    const double r0 = h0 / h, r1 = h1 / h;
    const Tensor d10 = weighted(1 / r0, outputs_[0], -1 / r0, outputs_[1]), d11 = weighted(1 / r1, outputs_[1], -1 / r1, outputs_[2]);
    const Tensor d1 = weighted(1 + r0 / (r0 + r1), d10, -r0 / (r0 + r1), d11), d2 = weighted(1 / (r0 + r1), d10, -1 / (r0 + r1), d11);
    const double quadratic = plus ? -scale * ((e + h) / (h * h) - 0.5) : -scale * ((e - h) / (h * h) - 0.5);
    return weighted(1, weighted(1, first, linear, d1), quadratic, d2);
  }

  Tensor stochastic(int order, const Tensor& x, const Noise& noise) const {
    const Point next = at(step_ + 1), now = at(step_);
    const Tensor fresh = noise();
    if (next.sigma == 0) return outputs_[0];
    const double h = next.lambda - now.lambda, rest = 1 - std::exp(-2 * h);
    Tensor out = weighted(next.sigma / now.sigma * std::exp(-h), x, next.alpha * rest, outputs_[0]);
    require(order < 3, "sde-dpmsolver++ of order 3 is not supported: use solver_order 1 or 2");
    if (order == 2) out = weighted(1, out, heun_ ? next.alpha * (rest / (-2 * h) + 1) : 0.5 * next.alpha * rest, slope(h));
    return weighted(1, out, next.sigma * std::sqrt(rest), fresh);
  }
};

}  // namespace

std::unique_ptr<Sampler> make_dpm_solver(const Json& config, const std::string& where, int steps, const SamplerOptions&) {
  return std::make_unique<DpmSolver>(config, where, steps);
}

}  // namespace pyracast
