#include <map>

#include "models/autoencoder_kl_temporal_decoder.hpp"
#include "models/causal_vae.hpp"
#include "models/latte.hpp"
#include "models/open_sora_t2v.hpp"
#include "models/open_sora_vae.hpp"
#include "models/stdit3.hpp"
#include "models/t5.hpp"
#include "pab/broadcast_policy.hpp"
#include "parity/components.hpp"

namespace pyracast {

void run_stdit3(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  const Stdit3Config config = Stdit3Config::from_json(c.config(), c.where());
  const Stdit3 network(weights, config);
  weights.finish();

  const Tensor x = c.input("x"), y = c.input("y");
  const auto mask = c.has_input("mask") ? c.input_integers("mask") : std::vector<int64_t>();
  Stdit3Conditioning conditioning;
  conditioning.timesteps = c.input_floats("timestep");
  conditioning.fps = c.input_floats("fps");
  conditioning.height = c.input_floats("height").front();
  conditioning.width = c.input_floats("width").front();
  if (c.has_input("x_mask")) conditioning.frame_mask = c.input_integers("x_mask");

  const BroadcastSchedule compute_all(1, int(config.depth));
  const auto alone = make_lone_communicator();
  Run run(*alone, compute_all);
  run.observe = Observer([&](const std::string& name, const Tensor& value) {
    // Blocks show tokens as they rest, [batch, time, space, hidden]; a case has them in one row.
    const bool resting = value.axes() == 4 && name.find("blocks.") != std::string::npos;
    const bool whole = name == "x_with_pos" || name == "final_layer";
    results.add(name, resting || whole ? value.reshape({value.dim(0), -1, value.dim(-1)}) : value);
  });
  run.begin(0);
  const CaptionTokens caption =
      network.embed_caption(y.reshape({y.dim(0), y.dim(2), y.dim(3)}), mask, results.observer());
  network(x, conditioning, caption, run);
}

void run_autoencoder_kl_temporal_decoder(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  const AutoencoderKlTemporalDecoder vae(weights, AutoencoderKlConfig::from_json(c.config(), c.where()));
  weights.finish();
  if (vae.encodes()) {
    const Posterior posterior(vae.encode(from_planes(c.input("image"))));
    results.add("latent_mean", to_planes(posterior.mean));
    results.add("latent_logvar", to_planes(posterior.log_variance));
  }
  const Tensor latents = from_planes(c.input("latents"));
  results.add("decoded", to_planes(vae.decode_videos(latents, value<int64_t>(c.call(), "num_frames", c.where()), results.observer("decoder."))));
  for (const int64_t chunk : value<std::vector<int64_t>>(c.call(), "decode_chunk_sizes", c.where()))
    results.add(concat("decoded_chunk", chunk), to_planes(vae.decode(latents, chunk)));
}

void run_causal_vae(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  const CausalVae vae(weights, CausalVaeConfig::from_json(c.config(), c.where()));
  weights.finish();
  const auto channels_last = [](const Tensor& x) { return permute(x, {0, 2, 3, 4, 1}); };
  const auto channels_first = [](const Tensor& x) { return permute(x, {0, 4, 1, 2, 3}); };
  for (const Json& run : c.call().at("runs")) {
    const auto name = value<std::string>(run, "name", c.where());
    const Observer observe = results.observer(name + ".");
    if (value<std::string>(run, "kind", c.where()) == "encode")
      results.add(name + ".moments",
                  channels_first(vae.encode(channels_last(c.input(name + ".x")), causal_vae_tiling(run.at("tiling"), c.where()), observe)));
    else
      results.add(name + ".frames",
                  channels_first(vae.decode(channels_last(c.input(name + ".z")), causal_vae_tiling(run.at("tiling"), c.where()), observe)));
  }
}

void run_latte_transformer(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  LatteConfig config = LatteConfig::from_json(c.config(), c.where());
  config.temporal_attentions = value_or(c.call(), "enable_temporal_attentions", true, c.where());
  const Latte network(weights, config);
  weights.finish();
  const Tensor latents = c.input("hidden_states");
  const int64_t batch = latents.dim(0), frames = latents.dim(2);
  const auto mask = c.has_input("encoder_attention_mask") ? c.input_integers("encoder_attention_mask") : std::vector<int64_t>();

  const auto alone = make_lone_communicator();
  Run run(*alone, BroadcastSchedule(1, int(config.layers)));
  run.observe = Observer([&](std::string name, const Tensor& value) {
    if (value.axes() != 4) return results.add(name, value);
    // Tokens as they rest, [batch, frames, space, hidden]; a case has spatial rows, or temporal ones.
    if (name.ends_with(".out")) name.resize(name.size() - 4);
    const bool temporal = name.starts_with("temporal");
    const Tensor rows = temporal ? permute(value, {0, 2, 1, 3}) : value;
    results.add(name, rows.reshape({batch * (temporal ? rows.dim(1) : frames), -1, value.dim(3)}));
  });
  run.begin(0);
  const LatteCaption caption = network.embed_caption(c.input("encoder_hidden_states"), mask, results.observer());
  network(latents, c.input_floats("timestep"), caption, run);
}

namespace {

/// Tokens as they rest, [batch, frames, space, hidden] -> the rows of a spatial or of a temporal block.
Tensor block_rows(const Tensor& x, bool temporal) {
  const Tensor rows = temporal ? permute(x, {0, 2, 1, 3}) : x;
  return rows.reshape({rows.dim(0) * rows.dim(1), rows.dim(2), rows.dim(3)});
}

/// Several evaluations in a row, with what broadcasting stores carried on.
template <class Evaluate>
void add_evaluations(const Case& c, Results& results, const BroadcastSchedule& schedule, const std::vector<Branch>& branches, Evaluate evaluate) {
  std::vector<int64_t> computed;
  std::vector<Tensor> outputs;
  for (int e = 0; e < schedule.evaluations(); ++e) {
    for (int block = 0; block < schedule.blocks(); ++block)
      for (const Branch branch : branches) computed.push_back(!schedule.reuses(e, {branch, block}));
    const Tensor all = c.input("hidden_states");
    const Shape one(all.shape().begin() + 1, all.shape().end());
    outputs.push_back(evaluate(e, slice(all, 0, e, e + 1).reshape(one)));
  }
  results.add_integers("computed", {schedule.evaluations(), schedule.blocks(), int64_t(branches.size())}, computed);
  results.add("output", stacked(outputs));
}

}  // namespace

namespace {

/// What a case of Open-Sora-Plan's transformers is given.
struct OpenSoraPlanInputs {
  Tensor text;                 // [batch, length, channels]
  std::vector<int64_t> mask;   // of the text; empty: none
  std::vector<float> kept, timesteps;

  explicit OpenSoraPlanInputs(const Case& c) : timesteps(c.input_floats("timestep")) {
    const Tensor given = c.input("encoder_hidden_states");   // [batch, 1, length, channels]
    text = given.reshape({given.dim(0), given.dim(2), given.dim(3)});
    if (c.has_input("encoder_attention_mask")) mask = c.input_integers("encoder_attention_mask");
    if (c.has_input("attention_mask")) kept = c.input_floats("attention_mask");
  }
};

/// The published rule over the case's evaluations.
BroadcastSchedule schedule_of(const Case& c, const std::vector<float>& timesteps, int64_t layers) {
  const std::vector<int64_t> grid(timesteps.begin(), timesteps.end());
  return pyramid_schedule(pab_settings(c.call().at("pab"), c.where()), grid, int(layers),
                          value<int>(c.call(), "num_inference_steps", c.where()), 0, int(grid.size()));
}

}  // namespace

void run_osp_v110_transformer(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  const LatteConfig config = LatteConfig::from_json(c.config(), c.where());
  const Latte network(weights, config);
  weights.finish();
  const OpenSoraPlanInputs in(c);
  const LatteCaption caption = network.embed_caption(in.text, in.mask);
  const auto alone = make_lone_communicator();

  if (c.call().contains("pab")) {
    const BroadcastSchedule schedule = schedule_of(c, in.timesteps, config.layers);
    Run run(*alone, schedule);
    return add_evaluations(c, results, schedule, latte_branches(), [&](int e, const Tensor& latents) {
      run.begin(e);
      return network(latents, std::vector<float>(size_t(latents.dim(0)), in.timesteps[size_t(e)]), caption, run, in.kept);
    });
  }
  results.add("caption_projection.out", caption.tokens.reshape({in.text.dim(0), 1, in.text.dim(1), -1}));
  Run run(*alone, BroadcastSchedule(1, int(config.layers)));
  run.observe = Observer([&](const std::string& name, const Tensor& value) {
    static const std::map<std::string, std::string> names{{"adaln_single.embedded_timestep", "adaln_single.embedded"},
                                                          {"adaln_single.timestep6", "adaln_single.t6"}, {"pos_embed", "pos_embed.out"},
                                                          {"sample", "output"}};
    if (const auto known = names.find(name); known != names.end())
      return results.add(known->second, name == "pos_embed" ? block_rows(value, false) : value);
    const size_t block = name.find("_block_"), dot = name.find('.', block);   // spatial_block_0.attn1 -> spatial_0.attn1_out
    const std::string part = name.substr(dot + 1);
    const bool temporal = name.starts_with("temporal");
    results.add(concat(name.substr(0, block), '_', name.substr(block + 7, dot - block - 7), '.', part == "out" ? "" : part + "_", "out"),
                value.axes() == 4 ? block_rows(value, temporal) : value);
  });
  run.begin(0);
  network(c.input("hidden_states"), in.timesteps, caption, run, in.kept);
}

void run_osp_v120_transformer(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  const OpenSoraT2vConfig config = OpenSoraT2vConfig::from_json(c.config(), c.where());
  const OpenSoraT2v network(weights, config);
  weights.finish();
  const int layers = int(config.sizes.layers);
  const OpenSoraPlanInputs in(c);
  const LatteCaption caption = network.embed_caption(in.text, in.mask);
  const auto alone = make_lone_communicator();

  if (c.call().contains("pab")) {
    const BroadcastSchedule schedule = schedule_of(c, in.timesteps, layers);
    Run run(*alone, schedule, TokenPlan(schedule, {}, Axis::space), StoredOutput::ungated);
    const std::vector<Branch> branches{Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp};
    return add_evaluations(c, results, schedule, branches, [&](int e, const Tensor& latents) {
      run.begin(e);
      return network(latents, std::vector<float>(size_t(latents.dim(0)), in.timesteps[size_t(e)]), caption, run, in.kept);
    });
  }
  results.add("caption_projection.out", caption.tokens.reshape({in.text.dim(0), 1, in.text.dim(1), -1}));
  Run run(*alone, BroadcastSchedule(1, layers));
  run.observe = Observer([&](const std::string& name, const Tensor& value) {
    static const std::map<std::string, std::string> names{{"adaln_single.embedded_timestep", "adaln_single.embedded"},
                                                          {"adaln_single.timestep6", "adaln_single.t6"}, {"pos_embed", "pos_embed.out"},
                                                          {"sample", "output"}};
    const auto known = names.find(name);
    const std::string shown = known != names.end() ? known->second : name.ends_with(".out") ? name : name + "_out";
    results.add(shown, value.axes() == 4 ? value.reshape({value.dim(0), -1, value.dim(3)}) : value);
  });
  run.begin(0);
  network(c.input("hidden_states"), in.timesteps, caption, run, in.kept);
}

void run_opensora_vae(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  const OpenSoraVae vae(weights, OpenSoraVaeConfig::from_json(c.config(), c.where()));
  weights.finish();
  const Tensor x = c.input("x"), z = c.input("z");
  vae.encode(x, c.input("noise_spatial"), c.input("noise_temporal"), results.observer());
  vae.decode(z, value<int64_t>(c.call(), "num_frames", c.where()), results.observer());
}

void run_autoencoder_kl(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  const AutoencoderKl vae(weights, AutoencoderKlConfig::from_json(c.config(), c.where()));
  weights.finish();
  const Tensor moments = vae.encode(from_planes(c.input("image")), results.observer("encoder."));
  results.add("moments", to_planes(moments));
  const Posterior posterior(moments);
  results.add("latent_mean", to_planes(posterior.mean));
  results.add("latent_logvar", to_planes(posterior.log_variance));
  results.add("latent_std", to_planes(posterior.deviation));
  results.add("latent_sample", to_planes(posterior.sample(from_planes(c.input("eps")))));
  results.add("decoded", to_planes(vae.decode(from_planes(c.input("latents")), results.observer("decoder."))));
}

void run_t5_encoder(const Case& c, Results& results) {
  const Weights weights = c.weights("model");
  const T5Encoder encoder(weights, T5Config::from_json(c.config(), c.where()));
  weights.finish();
  encoder(c.input_integers("input_ids"), c.input_integers("attention_mask"), c.input_shape("input_ids").at(0),
          results.observer());
}

}  // namespace pyracast
