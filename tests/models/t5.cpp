#include "models/t5.hpp"

#include "tests/models/network_support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t width = 24, heads = 3, head_size = 8, inner = 40, vocabulary = 50;

Json tiny_config(const char* projection = "gated-gelu") {
  return {{"d_model", width}, {"d_kv", head_size}, {"d_ff", inner}, {"num_layers", 2}, {"num_heads", heads},
          {"vocab_size", vocabulary}, {"relative_attention_num_buckets", 8}, {"relative_attention_max_distance", 16},
          {"feed_forward_proj", projection}};
}

StoredTensors tiny_weights(bool gated = true) {
  std::map<std::string, Shape> shapes{{"shared.weight", {vocabulary, width}}, {"encoder.final_layer_norm.weight", {width}}};
  for (int i = 0; i < 2; ++i) {
    const std::string block = concat("encoder.block.", i, ".layer.");
    for (const char* projection : {"q", "k", "v"}) shapes[block + "0.SelfAttention." + projection + ".weight"] = {heads * head_size, width};
    shapes[block + "0.SelfAttention.o.weight"] = {width, heads * head_size};
    for (const char* wi : gated ? std::vector{"wi_0", "wi_1"} : std::vector{"wi"})
      shapes[block + "1.DenseReluDense." + wi + ".weight"] = {inner, width};
    shapes[block + "1.DenseReluDense.wo.weight"] = {width, inner};
    shapes[block + "0.layer_norm.weight"] = shapes[block + "1.layer_norm.weight"] = {width};
  }
  shapes["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = {8, heads};
  return random_weights(shapes);
}

struct T5Test : testing::Test {
  std::unique_ptr<Backend> backend = make_cpu_backend();
  const std::vector<int64_t> ids{5, 9, 1, 0, 0, 0, 7, 49, 12, 3, 20, 1}, mask{1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1};

  T5Encoder encoder(const StoredTensors& tensors, WeightStorage storage = {}, const Json& config = tiny_config()) const {
    const Weights weights(*backend, tensors, storage, "model.safetensors");
    T5Encoder made(weights, T5Config::from_json(config, "config.json"));
    weights.finish();
    return made;
  }
  std::vector<float> both(const T5Encoder& encoder) const { return encoder(ids, mask, 2).to_host(); }
  std::vector<float> one(const T5Encoder& encoder, size_t text) const {
    return encoder(std::span(ids).subspan(6 * text, 6), std::span(mask).subspan(6 * text, 6), 1).to_host();
  }
};

TEST_F(T5Test, ABatchOfTwoEqualsTwoOfOneBitForBit) {
  const T5Encoder model = encoder(tiny_weights());
  std::vector<float> apart = one(model, 0);
  const std::vector<float> second = one(model, 1);
  apart.insert(apart.end(), second.begin(), second.end());
  EXPECT_EQ(both(model), apart);
}

TEST_F(T5Test, PaddingDoesNotChangeTheTokensThatCount) {
  const T5Encoder model = encoder(tiny_weights());
  const std::vector<float> padded = one(model, 0);
  const std::vector<float> cut = model(std::span(ids).first(3), std::span(mask).first(3), 1).to_host();
  ASSERT_EQ(cut.size(), size_t(3 * width));
  for (size_t i = 0; i < cut.size(); ++i) EXPECT_NEAR(padded[i], cut[i], 1e-6) << i;
}

TEST_F(T5Test, GivesTheSameBitsWithAnyNumberOfThreads) {
  const auto run = [&] { return both(encoder(tiny_weights())); };
  const auto single = with_threads(1, run);
  EXPECT_EQ(with_threads(2, run), single);
  EXPECT_EQ(with_threads(3, run), single);
}

TEST_F(T5Test, WeightsInBfloat16GiveNearlyTheSame) {
  const auto whole = both(encoder(tiny_weights())), rounded = both(encoder(tiny_weights(), {DType::bfloat16}));
  EXPECT_NE(rounded, whole);
  EXPECT_LT(relative_difference(rounded, whole), 0.03);
}

TEST_F(T5Test, ReadsThePlainFeedForwardOfTheFirstT5) {
  EXPECT_EQ(both(encoder(tiny_weights(false), {}, tiny_config("relu"))).size(), size_t(12 * width));
  EXPECT_THAT(error_of([&] { encoder(tiny_weights(true), {}, tiny_config("relu")); }),
              AllOf(HasSubstr("missing: encoder.block.0.layer.1.DenseReluDense.wi.weight"),
                    HasSubstr("not known to this model: encoder.block.0.layer.1.DenseReluDense.wi_0.weight")));
}

TEST_F(T5Test, ListsEveryWeightThatDoesNotFit) {
  StoredTensors tensors = tiny_weights();
  tensors.emplace("encoder.embed_tokens.weight", tensors.at("shared.weight"));   // a copy: known and not needed
  for (const char* name : {"decoder.block.0.weight", "lm_head.weight", "encoder.block.7.weight"})   // the first two: of whole models
    tensors.emplace(name, stored(DType::float32, {1}, std::vector<float>(1)));
  tensors.erase("encoder.final_layer_norm.weight");
  tensors.insert_or_assign("encoder.block.1.layer.0.SelfAttention.k.weight", stored(DType::float32, {2, 2}, std::vector<float>(4)));
  EXPECT_THAT(error_of([&] { encoder(tensors); }),
              AllOf(HasSubstr("model.safetensors: 3 of"), HasSubstr("missing: encoder.final_layer_norm.weight [24]"),
                    HasSubstr("encoder.block.1.layer.0.SelfAttention.k.weight is [2, 2], expected [24, 24]"),
                    HasSubstr("not known to this model: encoder.block.7.weight [1]")));
}

TEST_F(T5Test, RefusesTokensOutsideItsVocabulary) {
  const T5Encoder model = encoder(tiny_weights());
  const std::vector<int64_t> outside{5, vocabulary}, negative{5, -1}, kept{1, 1};
  EXPECT_THAT(error_of([&] { model(outside, kept, 1); }), AllOf(HasSubstr("50"), HasSubstr("tokenizer")));
  EXPECT_THAT(error_of([&] { model(negative, kept, 1); }), HasSubstr("-1"));
  EXPECT_THAT(error_of([&] { model(std::span(ids).first(3), kept, 1); }), HasSubstr("3 ids and 2 mask values"));
}

TEST(T5Config, NamesTheFileAndTheKeyOfAWrongValue) {
  const auto error_with = [](const char* key, const Json& value) {
    Json json = tiny_config();
    json[key] = value;
    return error_of([&] { T5Config::from_json(json, "folder/config.json"); });
  };
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, Json>>{
           {"d_model", "wide"}, {"d_model", 0}, {"d_kv", -8}, {"d_ff", 0}, {"num_heads", 0}, {"num_layers", 0}, {"vocab_size", 0},
           {"feed_forward_proj", "gelu"}, {"relative_attention_num_buckets", 1}, {"relative_attention_max_distance", 0},
           {"layer_norm_epsilon", "small"}, {"num_layers", Json()}})
    EXPECT_THAT(error_with(key, value), AllOf(HasSubstr("folder/config.json"), HasSubstr(key))) << value;
  Json json = tiny_config();
  json.erase("d_ff");
  EXPECT_THAT(error_of([&] { T5Config::from_json(json, "folder/config.json"); }), HasSubstr("\"d_ff\" is missing"));
}

}  // namespace
}  // namespace pyracast
