#include "parity/components.hpp"

#include <map>

namespace pyracast {

Results run_case(const Case& parity_case) {
  static const std::map<std::string, void (*)(const Case&, Results&)> components{
      {"stdit3", run_stdit3},
      {"opensora_vae_v1_2", run_opensora_vae},
      {"autoencoder_kl", run_autoencoder_kl},
      {"t5_encoder", run_t5_encoder},
      {"sentencepiece_t5", run_sentencepiece},
      {"text_cleaning", run_text_cleaning},
      {"prompt_decoration", run_prompt_decoration},
      {"opensora_tables", run_opensora_tables},
      {"mask_strategy", run_mask_strategy},
      {"pipeline_opensora", run_pipeline_opensora},
      {"pab_trace", run_pab_trace},
      {"autoencoder_kl_temporal_decoder", run_autoencoder_kl_temporal_decoder},
      {"latte_encode_prompt", run_latte_encode_prompt},
      {"pipeline_latte", run_pipeline_latte},
      {"osp_v110_transformer", run_osp_v110_transformer},
      {"osp_v120_transformer", run_osp_v120_transformer},
      {"pipeline_osp110", run_pipeline_osp110},
      {"pipeline_osp120", run_pipeline_osp120},
      {"causal_vae_v110", run_causal_vae},
      {"causal_vae_v120", run_causal_vae},
      {"latte_transformer", run_latte_transformer},
      {"scheduler_ddim", run_scheduler},
      {"scheduler_ddpm", run_scheduler},
      {"scheduler_dpmsolver_multistep", run_scheduler},
      {"scheduler_euler_ancestral", run_scheduler},
      {"scheduler_euler_discrete", run_scheduler},
      {"scheduler_flow_match_euler", run_scheduler},
      {"scheduler_pndm", run_scheduler},
      {"metrics_psnr_ssim", run_metrics_psnr_ssim},
      {"metrics_lpips", run_metrics_lpips},
      {"noise_torch", run_noise_torch},
      {"noise_torch_calls", run_noise_torch_calls},
      {"noise_philox", run_noise_philox},
      {"rflow_timesteps", run_rflow_timesteps},
      {"scheduler_rflow", run_scheduler_rflow},
  };
  const auto found = components.find(parity_case.component());
  if (found == components.end()) {
    std::string known;
    for (const auto& [name, run] : components) known += (known.empty() ? "" : ", ") + name;
    fail(parity_case.where(), ": the component \"", parity_case.component(), "\" is not known; known are ", known);
  }
  Results results;
  found->second(parity_case, results);
  return results;
}

}  // namespace pyracast
