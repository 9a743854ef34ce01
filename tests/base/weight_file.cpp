#include "base/weight_file.hpp"

#include "base/file.hpp"
#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::filesystem::path torch_files = std::filesystem::path(TESTS_DIR) / "data/torch";

/// A folder in which every file's tensor "w" holds one number that tells the files apart.
class WeightFolder : public testing::Test {
 protected:
  void add(const std::string& name, float mark, const std::string& tensor = "w") {
    write_safetensors(folder / name, {{tensor, stored<float>(DType::float32, {1}, {mark})}});
  }
  void add_torch(const std::string& name) { std::filesystem::copy(torch_files / "wrapped.pt", folder / name); }
  void add_index(const std::string& name, const std::string& weight_map) {
    folder.write(name, R"({"metadata":{"total_size":8},"weight_map":)" + weight_map + "}");
  }
  float mark() const { return elements<float>(read_weights(folder.path()).at("w")).front(); }
  std::string error() const {
    return error_of([&] { read_weights(folder.path()); });
  }
  TemporaryFolder folder;
};

TEST_F(WeightFolder, PrefersAnIndexToAFileAndSafetensorsToPyTorch) {
  folder.write("readme.txt", "not weights");
  add_torch("checkpoint.ckpt");
  EXPECT_EQ(read_weights(folder.path()).at("weight").file, (folder / "checkpoint.ckpt").string());
  add_torch("pytorch_model.bin");
  EXPECT_EQ(read_weights(folder.path()).at("weight").file, (folder / "pytorch_model.bin").string());
  folder.write("pytorch_model.bin.index.json", R"({"weight_map":{"bias":"pytorch_model.bin"}})");
  EXPECT_THAT(error(), HasSubstr("says that bias is in \"pytorch_model.bin\", which does not hold it"));
  add("diffusion_pytorch_model.safetensors", 1);
  EXPECT_EQ(mark(), 1);
  add("model.safetensors", 2);
  EXPECT_EQ(mark(), 2);
  add("shard.safetensors", 3);
  add_index("diffusion_pytorch_model.safetensors.index.json", R"({"w":"shard.safetensors"})");
  EXPECT_EQ(mark(), 3);
}

TEST_F(WeightFolder, TakesTheOnlyFileUnderAnotherName) {
  add_torch("epoch_3.pt");
  EXPECT_TRUE(read_weights(folder.path()).contains("weight"));
  add("vae_fp16.safetensors", 4);
  EXPECT_EQ(mark(), 4);
  add("vae_fp32.safetensors", 5);
  EXPECT_THAT(error(), HasSubstr("holds several weight files [vae_fp16.safetensors, vae_fp32.safetensors]"));
}

TEST_F(WeightFolder, SaysWhatItLookedForInAnEmptyFolder) {
  folder.write("training_args.bin", "");
  EXPECT_THAT(error(), AllOf(HasSubstr("holds no weights; looked for"), HasSubstr("pytorch_model.bin.index.json"),
                             HasSubstr("checkpoint.ckpt")));
}

TEST_F(WeightFolder, JoinsTheShardsOfAnIndex) {
  add("model-00001-of-00002.safetensors", 1, "a");
  add("model-00002-of-00002.safetensors", 2, "b");
  add_index("model.safetensors.index.json",
            R"({"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"})");
  for (const auto& path : {folder.path(), folder / "model.safetensors.index.json"}) {
    const StoredTensors tensors = read_weights(path);
    ASSERT_EQ(tensors.size(), 2u);
    EXPECT_EQ(elements<float>(tensors.at("b")), std::vector<float>{2});
  }
}

TEST_F(WeightFolder, JoinsPyTorchShards) {
  add_torch("pytorch_model-00001-of-00001.bin");
  add_index("pytorch_model.bin.index.json", R"({"weight":"pytorch_model-00001-of-00001.bin"})");
  EXPECT_EQ(read_weights(folder.path()).at("weight").shape, (Shape{2, 3}));
}

TEST_F(WeightFolder, NamesAMissingShardAndATensorThatIsNotWhereTheIndexSays) {
  add("one.safetensors", 1);
  add_index("model.safetensors.index.json", R"({"w":"two.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("the shard \"two.safetensors\" (1 tensors, the first is w) is missing"));
  add_index("model.safetensors.index.json", R"({"v":"one.safetensors"})");
  EXPECT_THAT(error(), HasSubstr("says that v is in \"one.safetensors\", which does not hold it"));
}

TEST_F(WeightFolder, RefusesAnIndexThatIsNone) {
  folder.write("model.safetensors.index.json", R"({"weights":{}})");
  EXPECT_THAT(error(), HasSubstr("expected an index with an object \"weight_map\""));
  add_index("model.safetensors.index.json", R"({"w":3})");
  EXPECT_THAT(error(), HasSubstr("the file of w is not a text"));
}

TEST_F(WeightFolder, RefusesShardsOutsideItsFolder) {
  for (const char* shard : {"../x.safetensors", "/etc/x.safetensors", "a/../../x.safetensors", "..", ".", "", "a/"}) {
    add_index("model.safetensors.index.json", concat(R"({"w":")", shard, "\"}"));
    EXPECT_THAT(error(), HasSubstr("is not a file name inside the index's folder")) << shard;
  }
  add_index("model.safetensors.index.json", R"({"w":"w.safetensors\u0000"})");
  EXPECT_THAT(error(), HasSubstr("the shard \"w.safetensors"));
}

TEST_F(WeightFolder, RefusesPathsThatAreNoWeights) {
  EXPECT_THAT(error_of([&] { read_weights(folder / "absent"); }), HasSubstr("absent: does not exist"));
  EXPECT_THAT(error_of([&] { read_weights(folder.write("notes.txt", "x")); }),
              HasSubstr("unknown kind of weight file"));
}

TEST(WeightFile, ReadsTheSharedDemoSnapshot) {
  const std::filesystem::path snapshot = std::filesystem::path(SHARED_DIR) / "demo-snapshot";
  if (!std::filesystem::exists(snapshot)) GTEST_SKIP() << "the shared demo snapshot is not here";
  for (const char* part : {"transformer", "vae", "text_encoder"}) EXPECT_FALSE(read_weights(snapshot / part).empty());
}

}  // namespace
}  // namespace pyracast
