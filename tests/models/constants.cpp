// What no timestep changes is worked out and goes to the device once a video. At the published sizes, without computing.
#include <gtest/gtest.h>

#include "kernels/planning_backend.hpp"
#include "models/open_sora_t2v.hpp"
#include "models/stdit3.hpp"

namespace pyracast {
namespace {

/// Counts what goes to the device.
class Uploads : public PlanningBackend {
 public:
  void upload(const void*, View out) override { bytes += out.size() * int64_t(size_of(out.dtype)); }
  int64_t bytes = 0;
};

/// Bytes that each of three evaluations of a network sends to the device besides its latents.
template <class Network, class Evaluate>
std::vector<int64_t> uploaded(Uploads& backend, const Network&, int layers, Evaluate evaluate) {
  const auto alone = make_lone_communicator();
  pyracast::Run run(*alone, BroadcastSchedule(3, layers));
  std::vector<int64_t> bytes;
  for (int evaluation = 0; evaluation < 3; ++evaluation) {
    run.begin(evaluation);
    backend.bytes = 0;
    evaluate(run);
    bytes.push_back(backend.bytes);
  }
  return bytes;
}

constexpr int64_t embedded_scalar = 256 * 4;   // bytes of a sinusoidal embedding

TEST(Constants, OfOpenSoraAreUploadedOnceAVideo) {
  Uploads backend;
  const Stdit3 network(Weights::random(backend, {}), Stdit3Config::from_json({{"hidden_size", 1152}, {"depth", 2}, {"num_heads", 16},
                                                                              {"caption_channels", 4096}, {"qk_norm", true}}, "config.json"));
  const CaptionTokens caption = network.embed_caption(Tensor(backend, {2, 300, 4096}), {});
  const Tensor latents(backend, {2, 4, 15, 60, 106});
  const auto bytes = uploaded(backend, network, 2, [&](pyracast::Run& run) {
    network(latents, {.timesteps = {500, 500}, .fps = {24, 24}, .height = 480, .width = 848, .frame_mask = {}}, caption, run);
  });
  EXPECT_GT(bytes[0], 30 * 53 * 1152 * 4) << "the positions";
  EXPECT_EQ(bytes[1], 4 * embedded_scalar) << "two timesteps and two frame rates";
  EXPECT_EQ(bytes[2], bytes[1]);
}

template <class Network, class Config>
std::vector<int64_t> of_latte_or_plan(bool rotary) {
  Uploads backend;
  const Json config{{"num_attention_heads", 16}, {"attention_head_dim", 72}, {"num_layers", 2},         {"caption_channels", 4096},
                    {"in_channels", 4},          {"out_channels", 4},        {"norm_eps", 1e-6},        {"video_length", 16},
                    {"attention_bias", true},    {"sample_size", {64, 64}},  {"sample_size_t", 16},     {"use_rope", rotary},
                    {"interpolation_scale_h", 1.0}, {"interpolation_scale_t", 1.0}, {"interpolation_scale_w", 1.0}};
  const Network network(Weights::random(backend, {}), Config::from_json(config, "config.json"));
  const LatteCaption caption = network.embed_caption(Tensor(backend, {2, 120, 4096}), {});
  const Tensor latents(backend, {2, 4, 16, 64, 64});
  std::vector<float> kept(size_t(2 * 16 * 64 * 64), 1);
  kept.back() = 0;
  return uploaded(backend, network, 2, [&](pyracast::Run& run) { network(latents, {500, 500}, caption, run, kept); });
}

TEST(Constants, OfLatteAndOpenSoraPlanAreUploadedOnceAVideo) {
  for (const bool rotary : {false, true})
    for (const auto& bytes : {of_latte_or_plan<Latte, LatteConfig>(rotary), of_latte_or_plan<OpenSoraT2v, OpenSoraT2vConfig>(rotary)}) {
      EXPECT_GT(bytes[0], 100 * embedded_scalar) << "positions and the bias of padding";
      EXPECT_EQ(bytes[1], 2 * embedded_scalar) << "two timesteps";
      EXPECT_EQ(bytes[2], bytes[1]);
    }
}

}  // namespace
}  // namespace pyracast
