#pragma once
// Snapshots of every family laid out as published, with networks of a few hundred kB and random weights.
#include <fstream>

#include "models/autoencoder_kl_temporal_decoder.hpp"
#include "models/causal_vae.hpp"
#include "models/open_sora_t2v.hpp"
#include "models/open_sora_vae.hpp"
#include "models/stdit3.hpp"
#include "tests/models/network_support.hpp"

namespace pyracast {

namespace tiny {

inline Json transformer(const std::string& class_name) {
  return {{"_class_name", class_name}, {"num_attention_heads", 4}, {"attention_head_dim", 12}, {"num_layers", 2}, {"in_channels", 4},
          {"out_channels", class_name == "OpenSoraT2V" ? 4 : 8}, {"patch_size", 2}, {"attention_bias", true}, {"norm_type", "ada_norm_single"},
          {"norm_elementwise_affine", false}, {"norm_eps", 1e-6}, {"activation_fn", "gelu-approximate"}, {"cross_attention_dim", 48},
          {"caption_channels", 64}};
}

inline Json causal_vae(bool v120) {
  const Json none{"", "", "", ""};
  Json config{{"_class_name", "CausalVAEModel"}, {"hidden_size", 32}, {"hidden_size_mult", {1, 1, 1, 1}}, {"num_res_blocks", 1},
              {"z_channels", 4}, {"embed_dim", 4}};
  config["encoder_resnet_blocks"] = {"ResnetBlock2D", "ResnetBlock2D", "ResnetBlock3D", "ResnetBlock3D"};
  config["decoder_resnet_blocks"] = {"ResnetBlock3D", "ResnetBlock3D", "ResnetBlock3D", "ResnetBlock3D"};
  config["encoder_spatial_downsample"] = v120 ? Json{"Downsample", "Spatial2xTime2x3DDownsample", "Spatial2xTime2x3DDownsample", ""}
                                              : Json{"Downsample", "Downsample", "Downsample", ""};
  config["encoder_temporal_downsample"] = v120 ? none : Json{"", "TimeDownsampleRes2x", "TimeDownsampleRes2x", ""};
  config["decoder_spatial_upsample"] = v120 ? Json{"", "SpatialUpsample2x", "Spatial2xTime2x3DUpsample", "Spatial2xTime2x3DUpsample"}
                                            : Json{"", "SpatialUpsample2x", "SpatialUpsample2x", "SpatialUpsample2x"};
  config["decoder_temporal_upsample"] = v120 ? none : Json{"", "", "TimeUpsampleRes2x", "TimeUpsampleRes2x"};
  return config;
}

/// A network's folder: its config.json, and random weights under this file name.
template <class Network, class Config>
void write_network(const std::filesystem::path& folder, const Json& config, const char* weights_file) {
  const auto backend = make_cpu_backend();
  const Weights asked = Weights::random(*backend, {});
  Network(asked, Config::from_json(config, "config.json"));
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : asked.stored()) shapes[name] = tensor.shape;
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << config.dump(1);
  write_safetensors(folder / weights_file, random_weights(shapes));
}

}  // namespace tiny

/// Writes a snapshot of `family`, whose text encoder and tokenizer are those of the demo. Latte's holds both VAEs, and
/// Open-Sora-Plan's its transformer in a folder named after its size, as published.
inline void write_tiny_snapshot(const std::string& family, const std::filesystem::path& folder, const std::filesystem::path& demo_snapshot) {
  std::filesystem::create_directories(folder);
  std::filesystem::copy(demo_snapshot / "text_encoder", folder / "text_encoder");
  const char* const diffusers = "diffusion_pytorch_model.safetensors";
  if (family == "latte-1") {
    Json transformer = tiny::transformer("LatteTransformer3DModel");
    transformer["sample_size"] = 4;
    transformer["video_length"] = 5;
    tiny::write_network<Latte, LatteConfig>(folder / "transformer", transformer, diffusers);
    const Json vae{{"block_out_channels", {32, 32, 32, 32}}, {"layers_per_block", 1}, {"latent_channels", 4}, {"scaling_factor", 0.18215}};
    Json image = vae, temporal = vae;
    image["_class_name"] = "AutoencoderKL";
    temporal["_class_name"] = "AutoencoderKLTemporalDecoder";
    tiny::write_network<AutoencoderKl, AutoencoderKlConfig>(folder / "vae", image, diffusers);
    tiny::write_network<AutoencoderKlTemporalDecoder, AutoencoderKlConfig>(folder / "vae_temporal_decoder", temporal, diffusers);
    std::filesystem::create_directories(folder / "scheduler");
    std::ofstream(folder / "scheduler" / "scheduler_config.json") << Json{{"_class_name", "DDIMScheduler"}, {"clip_sample", false}}.dump(1);
    std::ofstream(folder / "model_index.json") << Json{{"_class_name", "LattePipeline"}, {"transformer", {"diffusers", "LatteTransformer3DModel"}},
                                                       {"vae", {"diffusers", "AutoencoderKL"}}}.dump(1);
  } else if (family == "osp-1.1") {
    Json transformer = tiny::transformer("LatteT2V");
    transformer["sample_size"] = {4, 4};
    transformer["video_length"] = 9;   // beyond the published tiles' 8 latent frames: decoded in two chunks
    tiny::write_network<Latte, LatteConfig>(folder / "33x32x32", transformer, diffusers);
    tiny::write_network<CausalVae, CausalVaeConfig>(folder / "vae", tiny::causal_vae(false), diffusers);
  } else if (family == "osp-1.2") {
    Json transformer = tiny::transformer("OpenSoraT2V");
    transformer.update({{"sample_size", {4, 6}}, {"sample_size_t", 3}, {"use_rope", true}, {"patch_size_t", 1}});
    for (const char* axis : {"t", "h", "w"}) transformer[concat("interpolation_scale_", axis)] = 1.0;
    tiny::write_network<OpenSoraT2v, OpenSoraT2vConfig>(folder / "9x32p", transformer, diffusers);
    tiny::write_network<CausalVae, CausalVaeConfig>(folder / "vae", tiny::causal_vae(true), diffusers);
  } else {
    fail("no tiny snapshot of \"", family, "\" is known; expected latte-1, osp-1.1 or osp-1.2");
  }
}

}  // namespace pyracast
