#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "base/json.hpp"
#include "diffusion/noise_table.hpp"
#include "tensor/ops.hpp"

namespace pyracast {

/// What a network's output is.
enum class Prediction { epsilon, sample, v, flow };

/// What a user may choose for one video, besides what the model's scheduler_config.json says.
struct SamplerOptions {
  double eta = 0;                            ///< DDIM: share of DDPM's noise
  bool use_clipped_model_output = false;     ///< DDIM
  double churn = 0, churn_min = 0, churn_max = 1e300, churn_noise = 1;   ///< Euler (Karras et al., arXiv 2206.00364)
  std::optional<double> mu;                  ///< flow matching with dynamic shifting
  std::vector<double> sigmas;                ///< flow matching: in place of the even grid
};

/// diffusion's "scheduler": the timesteps of one video and the rule that takes latents from one to the next. It holds the
/// history of one video, and step() is called for each timestep in order.
class Sampler {
 public:
  /// Fresh noise, shaped like latents.
  using Noise = std::function<Tensor()>;

  virtual ~Sampler() = default;

  /// One an evaluation of the network, most noise first; some samplers evaluate more often than there are steps.
  const std::vector<float>& timesteps() const { return timesteps_; }
  /// Whole numbers, which models embed as such.
  bool has_integer_timesteps() const { return integer_timesteps_; }
  /// The deviation of the latents that the first step is given.
  float initial_sigma() const { return initial_sigma_; }
  /// Noise over signal before each evaluation and behind the last; empty for samplers that do not think in them.
  const std::vector<float>& sigmas() const { return sigmas_; }

  /// What the network is given for latents x, before the next step.
  virtual Tensor model_input(const Tensor& x) const { return x; }
  /// Latents behind the next timestep. `output`: the network's, for model_input(x).
  virtual Tensor step(const Tensor& output, const Tensor& x, const Noise& noise) = 0;
  /// The clean latents that the last step believed in; empty where the sampler has no such thing.
  const Tensor& predicted() const { return predicted_; }

 protected:
  std::vector<float> timesteps_, sigmas_;
  bool integer_timesteps_ = true;
  float initial_sigma_ = 1;
  Tensor predicted_;

  void set_timesteps(const std::vector<int64_t>& timesteps) { timesteps_.assign(timesteps.begin(), timesteps.end()); }
};

/// The sampler that a published scheduler_config.json names (`_class_name`), equal to that class of diffusers: DDIM, DDPM,
/// PNDM, Euler, Euler ancestral, DPM-Solver++ and flow matching. Absent keys take the constructor's defaults, and keys that are
/// no parameters of that class are not looked at (unused_sampler_keys names them), as in diffusers. Throws Error naming `where`
/// and the key on an unknown class and on what is not supported of a known one, and on an option that this sampler has not.
std::unique_ptr<Sampler> make_sampler(const Json& config, const std::string& where, int steps, const SamplerOptions& options = {});

/// The keys of a scheduler_config.json that are no parameters of the class which it names and so have no effect: those of other
/// classes, and those that nobody knows. Without bookkeeping ("_…") and what is switched off (null, false). Throws Error on an
/// unknown class.
std::vector<std::string> unused_sampler_keys(const Json& config, const std::string& where);

/// The names by which a user chooses a sampler: ddim, ddpm, pndm, euler, euler-ancestral, dpm-solver.
std::vector<std::string> sampler_names();

/// The configuration of the sampler of this name for the model that `config` was published with: what describes the model's
/// training (num_train_timesteps, beta_*, prediction_type) stays, all else is that sampler's default, and clean latents are not
/// clipped. Throws Error on a name that is not known, and on a model that predicts a flow: no sampler of noise fits it.
Json with_sampler(const Json& config, const std::string& name);

/// "epsilon", "sample", "v_prediction", "flow_prediction" of a config's prediction_type.
Prediction prediction_of(const Json& config, const std::string& where);

/// Values of x between -limit and limit.
Tensor clamped(const Tensor& x, float limit);

/// Clean latents that are clipped (`clip_sample`) or thresholded (`thresholding`; Saharia et al., arXiv 2205.11487), as a
/// config of DDIM or DDPM says.
class SampleLimit {
 public:
  SampleLimit(const Json& config, const std::string& where);
  Tensor operator()(const Tensor& x0) const;

 private:
  bool thresholding_, clip_;
  double ratio_, most_, range_;
};

}  // namespace pyracast
