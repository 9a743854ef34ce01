#pragma once
// The samplers that make_sampler() chooses from, one file each, and what they share.
#include "diffusion/sampler.hpp"

namespace pyracast {

/// a x.
inline Tensor scaled(double a, const Tensor& x) { return combine(float(a), x, 0, x); }
/// a x + b y.
inline Tensor weighted(double a, const Tensor& x, double b, const Tensor& y) { return combine(float(a), x, float(b), y); }

std::unique_ptr<Sampler> make_ddim(const Json& config, const std::string& where, int steps, const SamplerOptions& options);
std::unique_ptr<Sampler> make_ddpm(const Json& config, const std::string& where, int steps, const SamplerOptions& options);
std::unique_ptr<Sampler> make_pndm(const Json& config, const std::string& where, int steps, const SamplerOptions& options);
std::unique_ptr<Sampler> make_euler(const Json& config, const std::string& where, int steps, const SamplerOptions& options);
std::unique_ptr<Sampler> make_euler_ancestral(const Json& config, const std::string& where, int steps, const SamplerOptions& options);
std::unique_ptr<Sampler> make_dpm_solver(const Json& config, const std::string& where, int steps, const SamplerOptions& options);
std::unique_ptr<Sampler> make_flow_match(const Json& config, const std::string& where, int steps, const SamplerOptions& options);

}  // namespace pyracast
