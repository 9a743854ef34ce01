#include "models/stdit3.hpp"

#include "tests/models/network_support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t hidden = 32, heads = 2, caption_width = 24, caption_length = 10;

Json tiny_config() {
  return {{"input_sq_size", 64}, {"in_channels", 4}, {"patch_size", {1, 2, 2}}, {"hidden_size", hidden}, {"depth", 2},
          {"num_heads", heads}, {"mlp_ratio", 2.0}, {"pred_sigma", true}, {"caption_channels", caption_width},
          {"model_max_length", caption_length}, {"qk_norm", true}};
}

void add_linear(std::map<std::string, Shape>& shapes, const std::string& name, int64_t in, int64_t out) {
  shapes[name + ".weight"] = {out, in};
  shapes[name + ".bias"] = {out};
}

StoredTensors tiny_weights() {
  std::map<std::string, Shape> shapes{{"x_embedder.proj.weight", {hidden, 4, 1, 2, 2}},
                                      {"x_embedder.proj.bias", {hidden}},
                                      {"y_embedder.y_embedding", {caption_length, caption_width}},
                                      {"rope.freqs", {hidden / heads / 2}},
                                      {"final_layer.scale_shift_table", {2, hidden}}};
  for (const char* embedder : {"t_embedder", "fps_embedder"}) {
    add_linear(shapes, std::string(embedder) + ".mlp.0", 256, hidden);
    add_linear(shapes, std::string(embedder) + ".mlp.2", hidden, hidden);
  }
  add_linear(shapes, "t_block.1", hidden, 6 * hidden);
  add_linear(shapes, "y_embedder.y_proj.fc1", caption_width, hidden);
  add_linear(shapes, "y_embedder.y_proj.fc2", hidden, hidden);
  add_linear(shapes, "final_layer.linear", hidden, 4 * 8);
  for (const char* axis : {"spatial_blocks.", "temporal_blocks."})
    for (int i = 0; i < 2; ++i) {
      const std::string block = concat(axis, i, '.');
      shapes[block + "scale_shift_table"] = {6, hidden};
      add_linear(shapes, block + "attn.qkv", hidden, 3 * hidden);
      add_linear(shapes, block + "attn.proj", hidden, hidden);
      shapes[block + "attn.q_norm.weight"] = shapes[block + "attn.k_norm.weight"] = {hidden / heads};
      add_linear(shapes, block + "cross_attn.q_linear", hidden, hidden);
      add_linear(shapes, block + "cross_attn.kv_linear", hidden, 2 * hidden);
      add_linear(shapes, block + "cross_attn.proj", hidden, hidden);
      add_linear(shapes, block + "mlp.fc1", hidden, 2 * hidden);
      add_linear(shapes, block + "mlp.fc2", 2 * hidden, hidden);
    }
  return random_weights(shapes);
}

struct Stdit3Test : testing::Test {
  std::unique_ptr<Backend> backend = make_cpu_backend();
  const Shape latent_shape{1, 4, 3, 7, 9};   // odd: both are padded to the patch

  Stdit3 network(const StoredTensors& tensors, WeightStorage storage = {}, const Json& config = tiny_config()) const {
    const Weights weights(*backend, tensors, storage, "model.safetensors");
    Stdit3 made(weights, Stdit3Config::from_json(config, "config.json"));
    weights.finish();
    return made;
  }
  Tensor random(const std::string& name, const Shape& shape) const { return Tensor(*backend, shape, random_values(name, shape)); }
  Tensor latents(int video) const { return random(concat("latents", video), latent_shape); }
  Tensor text(int video) const { return random(concat("text", video), {1, caption_length, caption_width}); }
  static std::vector<int64_t> mask_of(int64_t tokens) {
    std::vector<int64_t> mask(caption_length, 0);
    std::fill_n(mask.begin(), tokens, 1);
    return mask;
  }

  Tensor evaluate(const Stdit3& model, const Tensor& x, const Tensor& y, const std::vector<int64_t>& mask,
                  const Stdit3Conditioning& conditioning) const {
    const BroadcastSchedule compute_all(1, 2);
    const auto alone = make_lone_communicator();
    pyracast::Run run(*alone, compute_all);
    run.begin(0);
    return model(x, conditioning, model.embed_caption(y, mask), run);
  }
  Tensor evaluate_one(const Stdit3& model, int video, int64_t tokens, float timestep,
                      const std::vector<int64_t>& frame_mask = {}) const {
    return evaluate(model, latents(video), text(video), mask_of(tokens),
                    {.timesteps = {timestep}, .fps = {24}, .height = 56, .width = 72, .frame_mask = frame_mask});
  }
};

std::vector<float> joined(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

TEST_F(Stdit3Test, ABatchOfTwoEqualsTwoOfOneBitForBit) {
  const Stdit3 model = network(tiny_weights());
  const std::vector<int64_t> mask = [] {
    auto both = mask_of(3);
    const auto second = mask_of(8);
    both.insert(both.end(), second.begin(), second.end());
    return both;
  }();
  const Tensor both = evaluate(model, concatenate({latents(0), latents(1)}, 0), concatenate({text(0), text(1)}, 0), mask,
                               {.timesteps = {900.5f, 12}, .fps = {24, 24}, .height = 56, .width = 72, .frame_mask = {}});
  EXPECT_EQ(both.shape(), (Shape{2, 8, 3, 7, 9}));
  EXPECT_EQ(both.to_host(), joined(evaluate_one(model, 0, 3, 900.5f).to_host(), evaluate_one(model, 1, 8, 12).to_host()));
}

TEST_F(Stdit3Test, GuidanceHalvesShareOneMaskAndEqualTwoEvaluations) {
  const Stdit3 model = network(tiny_weights());
  const Tensor captions = concatenate({text(0), model.null_caption()}, 0);
  const Stdit3Conditioning one{.timesteps = {500}, .fps = {24}, .height = 56, .width = 72, .frame_mask = {}};
  Stdit3Conditioning two = one;
  two.timesteps = {500, 500};
  two.fps = {24, 24};
  const Tensor both = evaluate(model, repeat(latents(0), 0, 2), captions, mask_of(4), two);
  EXPECT_EQ(both.to_host(), joined(evaluate(model, latents(0), text(0), mask_of(4), one).to_host(),
                                   evaluate(model, latents(0), model.null_caption(), mask_of(4), one).to_host()));
}

TEST_F(Stdit3Test, TokensThatAreMaskedChangeNothing) {
  const Stdit3 model = network(tiny_weights());
  const Stdit3Conditioning conditioning{.timesteps = {500}, .fps = {24}, .height = 56, .width = 72, .frame_mask = {}};
  EXPECT_EQ(evaluate(model, latents(0), text(0), mask_of(4), conditioning).to_host(),
            evaluate(model, latents(0), slice(text(0), 1, 0, 4), {}, conditioning).to_host());
}

TEST_F(Stdit3Test, GivesTheSameBitsWithAnyNumberOfThreads) {
  const auto run = [&] {
    const Stdit3 model = network(tiny_weights());
    return evaluate_one(model, 0, 5, 321, {1, 0, 1}).to_host();
  };
  const auto one = with_threads(1, run);
  EXPECT_EQ(with_threads(2, run), one);
  EXPECT_EQ(with_threads(3, run), one);
}

TEST_F(Stdit3Test, AFrameMaskOfOnesEqualsNone) {
  const Stdit3 model = network(tiny_weights());
  EXPECT_EQ(evaluate_one(model, 0, 5, 700, {1, 1, 1}).to_host(), evaluate_one(model, 0, 5, 700).to_host());
  EXPECT_NE(evaluate_one(model, 0, 5, 700, {1, 0, 1}).to_host(), evaluate_one(model, 0, 5, 700).to_host());
}

TEST_F(Stdit3Test, WeightsInBfloat16GiveNearlyTheSame) {
  const auto whole = evaluate_one(network(tiny_weights()), 0, 5, 700).to_host();
  const auto rounded = evaluate_one(network(tiny_weights(), {DType::bfloat16}), 0, 5, 700).to_host();
  EXPECT_NE(rounded, whole);
  EXPECT_LT(relative_difference(rounded, whole), 0.03);
}

TEST_F(Stdit3Test, ListsEveryWeightThatDoesNotFit) {
  StoredTensors tensors = tiny_weights();
  tensors.erase("temporal_blocks.1.mlp.fc2.bias");
  tensors.insert_or_assign("t_block.1.bias", stored(DType::float32, {3}, std::vector<float>(3)));
  tensors.emplace("spatial_blocks.2.attn.qkv.bias", stored(DType::float32, {2}, std::vector<float>(2)));
  EXPECT_THAT(error_of([&] { network(tensors); }),
              AllOf(HasSubstr("model.safetensors: 3 of"), HasSubstr("missing: temporal_blocks.1.mlp.fc2.bias [32]"),
                    HasSubstr("t_block.1.bias is [3], expected [192]"),
                    HasSubstr("not known to this model: spatial_blocks.2.attn.qkv.bias [2]")));
}

TEST_F(Stdit3Test, RefusesInputsThatDoNotFit) {
  const Stdit3 model = network(tiny_weights());
  const Stdit3Conditioning conditioning{.timesteps = {500}, .fps = {24}, .height = 56, .width = 72, .frame_mask = {}};
  EXPECT_THAT(error_of([&] { evaluate(model, random("x", {1, 3, 2, 4, 4}), text(0), {}, conditioning); }),
              AllOf(HasSubstr("[1, 3, 2, 4, 4]"), HasSubstr("expected [batch, 4,")));
  EXPECT_THAT(error_of([&] { evaluate(model, repeat(latents(0), 0, 2), text(0), {}, conditioning); }),
              HasSubstr("1 captions for 2 latents"));
  EXPECT_THAT(error_of([&] { evaluate(model, latents(0), text(0), {1, 1}, conditioning); }), HasSubstr("caption mask of 2"));
  EXPECT_THAT(error_of([&] { evaluate_one(model, 0, 5, 1, {1, 0}); }), HasSubstr("frame mask of 2"));
}

TEST(Stdit3Config, NamesTheFileAndTheKeyOfAWrongValue) {
  const auto error_with = [](const char* key, const Json& value) {
    Json json = tiny_config();
    json[key] = value;
    return error_of([&] { Stdit3Config::from_json(json, "folder/config.json"); });
  };
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, Json>>{
           {"patch_size", {1, 2}}, {"patch_size", {1, 0, 2}}, {"hidden_size", "wide"}, {"hidden_size", 33}, {"num_heads", 0},
           {"num_heads", 5}, {"depth", 0}, {"depth", Json()}, {"qk_norm", 3}, {"mlp_ratio", "4"}, {"mlp_ratio", -1},
           {"in_channels", 0}, {"caption_channels", -3}, {"model_max_length", 0}, {"input_sq_size", 0}})
    EXPECT_THAT(error_with(key, value), AllOf(HasSubstr("folder/config.json"), HasSubstr(key))) << value;
  Json json = tiny_config();
  json.erase("hidden_size");
  EXPECT_THAT(error_of([&] { Stdit3Config::from_json(json, "folder/config.json"); }),
              AllOf(HasSubstr("folder/config.json"), HasSubstr("\"hidden_size\" is missing")));
}

}  // namespace
}  // namespace pyracast
