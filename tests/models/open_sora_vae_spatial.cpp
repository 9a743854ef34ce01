#include "models/autoencoder_kl.hpp"
#include "tests/models/open_sora_vae_case.hpp"

namespace pyracast {

namespace {

using testing::HasSubstr;

const std::filesystem::path shared = std::filesystem::path(SHARED_DIR) / "goldens/latte";

/// The spatial part of the copied Open-Sora case: a whole AutoencoderKL.
struct SpatialPart {
  GoldenCase golden{std::filesystem::path(TESTS_DIR) / "golden/opensora/opensora_vae_v1_2_f17"};
  AutoencoderKlConfig config = AutoencoderKlConfig::from_json(golden.config()["vae_2d"]["config"], "case.json");
  StoredTensors stored;

  SpatialPart() {
    const std::string prefix = "spatial_vae.module.";
    for (const auto& [name, tensor] : golden.stored_weights())
      if (name.starts_with(prefix)) stored.emplace(name.substr(prefix.size()), tensor);
  }
  AutoencoderKl load(const StoredTensors& tensors, AutoencoderParts parts = AutoencoderParts::whole) const {
    const Weights weights(cpu(), tensors, {}, "the spatial part");
    const AutoencoderKl network(weights, config, parts);
    weights.finish();
    return network;
  }
  Tensor images() const {
    const Tensor x = golden.input("x");
    return permute(slice(x, 2, 0, 3), {0, 2, 3, 4, 1}).reshape({3, 1, x.dim(3), x.dim(4), x.dim(1)});
  }
};

struct AutoencoderKlGolden : testing::TestWithParam<std::filesystem::path> {};

TEST_P(AutoencoderKlGolden, EveryExpectedTensorLiesWithinTheTolerance) {
  if (!std::filesystem::exists(GetParam())) GTEST_SKIP() << GetParam() << " is not here";
  const GoldenCase golden(GetParam());
  const Weights weights = golden.weights();
  const AutoencoderKl network(weights, AutoencoderKlConfig::from_json(golden.config(), "case.json"));
  weights.finish();
  Shown shown;
  const Tensor moments = network.encode(from_planes(golden.input("image")), shown.observer() / "encoder");
  shown.add("moments", to_planes(moments));
  const Posterior posterior(moments);
  shown.add("latent_mean", to_planes(posterior.mean));
  shown.add("latent_logvar", to_planes(posterior.log_variance));
  shown.add("latent_std", to_planes(posterior.deviation));
  shown.add("latent_sample", to_planes(posterior.sample(from_planes(golden.input("eps")))));
  const Tensor decoded = network.decode(from_planes(golden.input("latents")), shown.observer() / "decoder");
  shown.add("decoded", to_planes(decoded));
  EXPECT_EQ(golden.difference(shown), "");
}

INSTANTIATE_TEST_SUITE_P(Shared, AutoencoderKlGolden,
                         testing::Values(shared / "autoencoder_kl_base", shared / "autoencoder_kl_oddsize_oldnames"));

TEST(AutoencoderKl, ReadsTheAttentionNamesOfEarlySnapshots) {
  const SpatialPart part;
  StoredTensors early;
  for (const auto& [key, tensor] : part.stored) {
    std::string name = key;
    for (const auto& [now, then] : {std::pair{".to_q.", ".query."}, std::pair{".to_k.", ".key."},
                                    std::pair{".to_v.", ".value."}, std::pair{".to_out.0.", ".proj_attn."}})
      if (const size_t at = name.find(now); at != std::string::npos) name.replace(at, std::string(now).size(), then);
    early.emplace(name, tensor);
  }
  ASSERT_TRUE(early.contains("decoder.mid_block.attentions.0.proj_attn.weight"));
  EXPECT_EQ(part.load(early).encode(part.images()).to_host(), part.load(part.stored).encode(part.images()).to_host());
}

TEST(AutoencoderKl, DecodesFromAFileWithTheDecoderOnly) {
  const SpatialPart part;
  StoredTensors decoder;
  for (const auto& [name, tensor] : part.stored)
    if (!name.starts_with("encoder.") && !name.starts_with("quant_conv.")) decoder.emplace(name, tensor);
  const Tensor latents = from_planes(slice(part.golden.input("noise_spatial"), 0, 0, 2));
  const std::vector<float> whole = part.load(part.stored).decode(latents).to_host();
  EXPECT_EQ(part.load(decoder, AutoencoderParts::decoder).decode(latents).to_host(), whole);
  const AutoencoderKl dropped = part.load(part.stored, AutoencoderParts::decoder);   // the encoder is there, not wanted
  EXPECT_EQ(dropped.decode(latents).to_host(), whole);
  EXPECT_THROW(dropped.encode(part.images()), Error);
  EXPECT_THROW(part.load(decoder), Error);
}

TEST(AutoencoderKl, ReportsEveryWeightThatDoesNotFit) {
  SpatialPart part;
  part.stored.erase("decoder.conv_in.bias");
  part.stored.emplace("decoder.extra.weight", part.stored.at("decoder.conv_in.weight"));
  part.config.norm_num_groups = 2;
  part.config.latent_channels = 5;
  try {
    part.load(part.stored);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(HasSubstr("missing: decoder.conv_in.bias"),
                               HasSubstr("not known to this model: decoder.extra.weight"),
                               HasSubstr("post_quant_conv.weight is [4, 4, 1, 1], expected [5, 5, 1, 1]")));
  }
}

TEST(Posterior, ClampsTheLogVariance) {
  const Posterior posterior(Tensor(cpu(), {2, 2}, std::vector<float>{1, -100, 2, 100}));
  EXPECT_THAT(posterior.mean.to_host(), testing::ElementsAre(1, 2));
  EXPECT_THAT(posterior.log_variance.to_host(), testing::ElementsAre(-30, 20));
  EXPECT_THAT(posterior.sample(Tensor(cpu(), {2, 1}, std::vector<float>{2, 2})).to_host(),
              testing::ElementsAre(testing::FloatEq(1 + 2 * std::exp(-15.f)),
                                   testing::FloatEq(2 + 2 * std::exp(10.f))));
}

}  // namespace

}  // namespace pyracast
