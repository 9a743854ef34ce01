#pragma once
#include "models/causal_vae.hpp"
#include "parity/case.hpp"

namespace pyracast {

/// Runs the computation a case describes. Throws Error on a component that is not known.
Results run_case(const Case& parity_case);

/// A case's description of tiles; none where it is null.
std::optional<CausalVaeTiling> causal_vae_tiling(const Json& json, const std::string& where);

// One function a component, named after it; each file holds one family.
void run_stdit3(const Case&, Results&);
void run_opensora_vae(const Case&, Results&);
void run_t5_encoder(const Case&, Results&);
void run_sentencepiece(const Case&, Results&);
void run_text_cleaning(const Case&, Results&);
void run_prompt_decoration(const Case&, Results&);
void run_opensora_tables(const Case&, Results&);
void run_mask_strategy(const Case&, Results&);
void run_rflow_timesteps(const Case&, Results&);
void run_scheduler_rflow(const Case&, Results&);
void run_pipeline_opensora(const Case&, Results&);
void run_pab_trace(const Case&, Results&);
void run_autoencoder_kl_temporal_decoder(const Case&, Results&);
void run_osp_v110_transformer(const Case&, Results&);
void run_osp_v120_transformer(const Case&, Results&);
void run_pipeline_osp110(const Case&, Results&);
void run_pipeline_osp120(const Case&, Results&);
void run_causal_vae(const Case&, Results&);
void run_latte_encode_prompt(const Case&, Results&);
void run_pipeline_latte(const Case&, Results&);
void run_latte_transformer(const Case&, Results&);
void run_scheduler(const Case&, Results&);
void run_metrics_psnr_ssim(const Case&, Results&);
void run_metrics_lpips(const Case&, Results&);
void run_noise_torch(const Case&, Results&);
void run_noise_torch_calls(const Case&, Results&);
void run_noise_philox(const Case&, Results&);
void run_autoencoder_kl(const Case&, Results&);

}  // namespace pyracast
