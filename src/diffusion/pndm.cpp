// Pseudo numerical methods for diffusion models on manifolds (Liu et al., arXiv 2202.09778), as diffusers' PNDMScheduler: a
// Runge-Kutta start, then a linear multistep method over the last four outputs.
#include <cmath>
#include <deque>

#include "diffusion/sampler_classes.hpp"
#include "diffusion/timestep_grid.hpp"

namespace pyracast {

namespace {

constexpr size_t start_evaluations = 12;   // three intervals of four

class Pndm final : public Sampler {
 public:
  Pndm(const Json& config, const std::string& where, int steps)
      : table_(NoiseTable::from_json(config, where, false)), prediction_(prediction_of(config, where)),
        runge_kutta_(!value_or(config, "skip_prk_steps", false, where)), stride_(table_.timesteps() / steps) {
    require(prediction_ == Prediction::epsilon || prediction_ == Prediction::v, where,
            ": prediction_type of PNDM is neither epsilon nor v_prediction");
    final_alpha_ = value_or(config, "set_alpha_to_one", false, where) ? 1 : table_.alphas_cumprod[0];
    const std::vector<int64_t> grid = TimestepSpacing::from_json(config, where, "leading").integers(steps);
    set_timesteps(pndm_timesteps(grid, stride_ / 2, runge_kutta_));
  }

  Tensor step(const Tensor& output, const Tensor& x, const Noise&) override {
    const size_t counter = step_++;
    const auto t = int64_t(timesteps_.at(counter));
    return runge_kutta_ && counter < start_evaluations ? start(counter, t, output, x) : multistep(counter, t, output, x);
  }

 private:
  NoiseTable table_;
  Prediction prediction_;
  bool runge_kutta_;
  int64_t stride_;
  double final_alpha_ = 1;
  size_t step_ = 0;
  std::deque<Tensor> outputs_;   // the newest last
  Tensor sum_, from_;

  Tensor start(size_t counter, int64_t given, const Tensor& output, const Tensor& x) {
    const int64_t before = given - (counter % 2 == 0 ? stride_ / 2 : 0);
    const auto t = int64_t(timesteps_[counter / 4 * 4]);
    switch (counter % 4) {
      case 0:
        sum_ = scaled(1.0 / 6, output);
        outputs_.push_back(output);
        from_ = x;
        return moved(x, t, before, output);
      case 3: return moved(from_, t, before, weighted(1, sum_, 1.0 / 6, output));
      default: sum_ = weighted(1, sum_, 1.0 / 3, output); return moved(from_, t, before, output);
    }
  }

  Tensor multistep(size_t counter, int64_t t, const Tensor& output, const Tensor& x) {
    const size_t since = counter - (runge_kutta_ ? start_evaluations : 0);
    int64_t before = t - stride_;
    const bool again = !runge_kutta_ && since == 1;   // the second evaluation repeats the first step with a better slope
    if (again) {
      before = t;
      t += stride_;
    } else {
      while (outputs_.size() > 3) outputs_.pop_front();
      outputs_.push_back(output);
    }
    const auto newest = [&](size_t i) { return outputs_[outputs_.size() - 1 - i]; };
    if (again) return moved(from_, t, before, weighted(0.5, output, 0.5, newest(0)));
    switch (outputs_.size()) {
      case 1: from_ = x; return moved(x, t, before, output);
      case 2: return moved(x, t, before, weighted(3.0 / 2, newest(0), -1.0 / 2, newest(1)));
      case 3: return moved(x, t, before, weighted(1, weighted(23.0 / 12, newest(0), -16.0 / 12, newest(1)), 5.0 / 12, newest(2)));
      default:
        return moved(x, t, before, weighted(1, weighted(55.0 / 24, newest(0), -59.0 / 24, newest(1)), 1,
                                            weighted(37.0 / 24, newest(2), -9.0 / 24, newest(3))));
    }
  }

  /// x at timestep t taken to `before` along this slope: eq. 11.
  Tensor moved(const Tensor& x, int64_t t, int64_t before, const Tensor& slope) const {
    const double a = table_.alphas_cumprod.at(size_t(t)), a_before = before >= 0 ? table_.alphas_cumprod[size_t(before)] : final_alpha_;
    const Tensor epsilon = prediction_ == Prediction::v ? weighted(std::sqrt(a), slope, std::sqrt(1 - a), x) : slope;
    const double divisor = a * std::sqrt(1 - a_before) + std::sqrt(a * (1 - a) * a_before);
    return weighted(std::sqrt(a_before / a), x, -(a_before - a) / divisor, epsilon);
  }
};

}  // namespace

std::unique_ptr<Sampler> make_pndm(const Json& config, const std::string& where, int steps, const SamplerOptions&) {
  return std::make_unique<Pndm>(config, where, steps);
}

}  // namespace pyracast
