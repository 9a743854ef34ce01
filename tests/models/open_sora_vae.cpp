#include "models/open_sora_vae.hpp"

#include "tests/models/open_sora_vae_case.hpp"

namespace pyracast {

namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path copied = std::filesystem::path(TESTS_DIR) / "golden/opensora";

GoldenCase one_chunk() { return GoldenCase(copied / "opensora_vae_v1_2_f17"); }
GoldenCase two_chunks_of_two_videos() { return GoldenCase(copied / "opensora_vae_v1_2_f20_b2"); }

OpenSoraVae vae_of(const GoldenCase& golden, const Json& config, WeightStorage storage = {}) {
  const Weights weights = golden.weights(storage);
  const OpenSoraVae vae(weights, OpenSoraVaeConfig::from_json(config, "case.json"));
  weights.finish();
  return vae;
}
OpenSoraVae vae_of(const GoldenCase& golden) { return vae_of(golden, golden.config()); }

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

Shown run(const GoldenCase& golden) {
  Shown shown;
  const OpenSoraVae vae = vae_of(golden);
  vae.encode(golden.input("x"), golden.input("noise_spatial"), golden.input("noise_temporal"), shown.observer());
  vae.decode(golden.input("z"), golden.json().at("call").at("num_frames"), shown.observer());
  return shown;
}

TEST(OpenSoraVae, ShowsItsTensorsInTheOrderOfComputation) {
  EXPECT_THAT(
      run(one_chunk()).names(),
      ElementsAre("mb0.spatial_encoder.conv_in", "mb0.spatial_encoder.mid_block", "encode.spatial_moments",
                  "encode.x_z", "chunk0.temporal_encoder.conv_in", "chunk0.temporal_encoder.block_res_blocks.0",
                  "chunk0.temporal_encoder.block_res_blocks.1", "chunk0.temporal_encoder.block_res_blocks.2",
                  "chunk0.temporal_encoder.block_res_blocks.3", "chunk0.temporal_encoder.norm1",
                  "encode.temporal_moments", "encode.z",
                  // decode
                  "chunk0.temporal_decoder.post_quant_conv", "chunk0.temporal_decoder.conv1",
                  "chunk0.temporal_decoder.block_res_blocks.3", "chunk0.temporal_decoder.conv_blocks.2",
                  "chunk0.temporal_decoder.block_res_blocks.2", "chunk0.temporal_decoder.conv_blocks.1",
                  "chunk0.temporal_decoder.block_res_blocks.1", "chunk0.temporal_decoder.conv_blocks.0",
                  "chunk0.temporal_decoder.block_res_blocks.0", "chunk0.temporal_decoder.norm1", "decode.temporal_out",
                  "mb0.spatial_decoder.post_quant_conv", "mb0.spatial_decoder.conv_in", "mb0.spatial_decoder.mid_block",
                  "mb0.spatial_decoder.up_blocks.0", "decode.video"));
}

TEST(OpenSoraVae, ABatchOfTwoIsTwoBatchesOfOne) {
  const GoldenCase golden = two_chunks_of_two_videos();
  const OpenSoraVae vae = vae_of(golden);
  const Tensor x = golden.input("x"), z = golden.input("z"), spatial = golden.input("noise_spatial"),
               temporal = golden.input("noise_temporal");
  const Tensor encoded = vae.encode(x, spatial, temporal), decoded = vae.decode(z, 20);
  for (int64_t b = 0; b < 2; ++b) {
    const auto entry = [&](const Tensor& of) { return slice(of, 0, b, b + 1); };
    EXPECT_EQ(vae.encode(entry(x), slice(spatial, 0, 20 * b, 20 * (b + 1)), entry(temporal)).to_host(),
              entry(encoded).to_host());
    EXPECT_EQ(vae.decode(entry(z), 20).to_host(), entry(decoded).to_host());
  }
}

TEST(OpenSoraVae, DecodingChunkByChunkIsDecodingTheWhole) {
  const GoldenCase golden = two_chunks_of_two_videos();
  const OpenSoraVae vae = vae_of(golden);
  const Tensor z = golden.input("z");
  std::vector<Tensor> parts;
  for (const VaeChunk& chunk : vae.chunks(20)) parts.push_back(vae.decode_frames(vae.decode_chunk(z, chunk)));
  EXPECT_THAT(parts, testing::SizeIs(2));
  EXPECT_EQ(concatenate(parts, 2).to_host(), vae.decode(z, 20).to_host());
}

TEST(OpenSoraVae, TheMicroBatchChangesNoBit) {
  const GoldenCase golden = two_chunks_of_two_videos();
  const auto of_one = [](const Tensor& both) { return slice(both, 0, 0, both.dim(0) / 2); };
  const Tensor x = of_one(golden.input("x")), z = of_one(golden.input("z")), spatial = of_one(golden.input("noise_spatial")),
               temporal = of_one(golden.input("noise_temporal"));
  const OpenSoraVae by_three = vae_of(golden);
  const std::vector<float> decoded = by_three.decode(z, 20).to_host(), encoded = by_three.encode(x, spatial, temporal).to_host();
  for (const Json& size : {Json(1), Json(nullptr)}) {
    Json config = golden.config();
    config["vae_2d"]["micro_batch_size"] = size;
    const OpenSoraVae other = vae_of(golden, config);
    EXPECT_EQ(other.decode(z, 20).to_host(), decoded) << size;
    EXPECT_EQ(other.encode(x, spatial, temporal).to_host(), encoded) << size;
  }
}

TEST(OpenSoraVae, BFloat16WeightsDecodeNearly) {
  const GoldenCase golden = one_chunk();
  const OpenSoraVae rounded = vae_of(golden, golden.config(), {DType::bfloat16});
  const std::vector<float> exact = vae_of(golden).decode(golden.input("z"), 17).to_host(),
                           near = rounded.decode(golden.input("z"), 17).to_host();
  double error = 0, power = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(double(near[i]) - double(exact[i]), 2);
    power += std::pow(double(exact[i]), 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(std::sqrt(error / power), 0.05);
}

TEST(OpenSoraVae, CountsFiveLatentsForEverySeventeenFrames) {
  const OpenSoraVae vae = vae_of(one_chunk());
  std::vector<int64_t> latents;
  for (const int64_t frames : {1, 4, 5, 17, 18, 20, 34, 51, 102, 204, 408})
    latents.push_back(vae.latent_frames(frames));
  EXPECT_THAT(latents, ElementsAre(1, 1, 2, 5, 6, 6, 10, 15, 30, 60, 120));
  EXPECT_EQ(vae.latent_shape(2, 51, 480, 854), (Shape{2, 4, 15, 60, 106}));
}

TEST(OpenSoraVae, WithoutMicroFramesTheWholeVideoIsOneChunk) {
  const GoldenCase golden = one_chunk();
  Json config = golden.config();
  config["micro_frame_size"] = nullptr;
  const OpenSoraVae vae = vae_of(golden, config);
  EXPECT_THAT(vae.chunks(51), testing::SizeIs(1));
  EXPECT_EQ(vae.latent_frames(51), 13);
}

TEST(OpenSoraVae, RefusesWeightsOfAnotherScaleOrShift) {
  const GoldenCase golden = one_chunk();
  for (const char* name : {"scale", "shift"}) {
    Json config = golden.config();
    config[name][1] = 2.5;
    const auto weights_say = golden.config()[name].get<std::vector<float>>();
    const auto config_says = config[name].get<std::vector<float>>();
    EXPECT_THAT(message_of([&] { vae_of(golden, config); }),
                testing::AllOf(HasSubstr(concat('"', name, "\" in the weights is ", weights_say)),
                               HasSubstr(concat("case.json says ", config_says))));
  }
}

TEST(OpenSoraVae, ReportsLatentsAndNoiseOfTheWrongSize) {
  const GoldenCase golden = one_chunk();
  const OpenSoraVae vae = vae_of(golden);
  EXPECT_THAT(message_of([&] { vae.decode(golden.input("z"), 34); }),
              HasSubstr("the latents are [1, 4, 5, 3, 4], expected [batch, 4, 10, height, width] for 34 frames"));
  EXPECT_THAT(message_of([&] { vae.encode(golden.input("x"), golden.input("noise_temporal"), golden.input("z")); }),
              HasSubstr("the noise is [1, 4, 5, 3, 4] and [1, 4, 5, 3, 4], "
                        "expected [17, 4, 3, 4] and [1, 4, 5, 3, 4]"));
}

TEST(OpenSoraVaeConfig, WithoutWidthsIsThePublishedNetwork) {
  const auto config = OpenSoraVaeConfig::from_json(
      Json::parse(R"({"micro_frame_size": 17, "scale": [3.85, 2.32, 2.33, 3.06], "shift": [-0.1, 0.34, 0.27, 0.98],
                      "vae_2d": {"type": "VideoAutoencoderKL", "micro_batch_size": 4},
                      "vae_temporal": {"type": "VAE_Temporal_SD", "from_pretrained": null}})"),
      "config.json");
  EXPECT_THAT(config.spatial.block_out_channels, ElementsAre(128, 256, 512, 512));
  EXPECT_EQ(config.spatial.norm_num_groups, 32);
  EXPECT_EQ(config.temporal.filters, 128);
  EXPECT_EQ(config.temporal.num_res_blocks, 4);
  EXPECT_EQ(config.temporal.time_factor(), 4);
  EXPECT_EQ(config.micro_frame_size, 17);
  EXPECT_EQ(config.micro_batch_size, 4);
}

TEST(OpenSoraVaeConfig, RefusesWhatIsAnotherNetwork) {
  const auto message = [&](const char* path, const Json& value) {
    Json config = one_chunk().config();
    config[Json::json_pointer(path)] = value;
    return message_of([&] { OpenSoraVaeConfig::from_json(config, "config.json"); });
  };
  EXPECT_THAT(message("/vae_temporal/type", "VAE_Temporal_L"),
              HasSubstr(R"(config.json: "vae_temporal" has the type VAE_Temporal_L)"));
  EXPECT_THAT(message("/vae_2d/config/act_fn", "relu"), HasSubstr(R"("act_fn" is "relu")"));
  EXPECT_THAT(message("/vae_2d/config/norm_num_groups", 3), HasSubstr("expected multiples of norm_num_groups 3"));
  EXPECT_THAT(message("/vae_2d/config/down_block_types/1", "AttnDownEncoderBlock2D"),
              HasSubstr("names AttnDownEncoderBlock2D"));
  EXPECT_THAT(message("/vae_temporal/config/temporal_downsample", {true}), HasSubstr("has 1 entries for 4"));
  EXPECT_THAT(message("/vae_temporal/config/activation_fn", "relu"), HasSubstr(R"("activation_fn" is relu)"));
  EXPECT_THAT(message("/micro_frame_size", 0), HasSubstr(R"("micro_frame_size" is 0)"));
  EXPECT_THAT(message("/scale", {1, 2}), HasSubstr("must be one number or 4, found [1, 2]"));
  EXPECT_THAT(message("/scale", {1, 2, 0, 3}), HasSubstr("latents are divided by it"));
}

}  // namespace

}  // namespace pyracast
