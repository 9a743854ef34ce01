#include "pipeline/snapshot.hpp"

#include "pipeline/video_model.hpp"
#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::HasSubstr;

namespace fs = std::filesystem;

TEST(FindSnapshot, FindsThePartsOfTheDemo) {
  const SnapshotPaths paths = find_snapshot(DEMO_SNAPSHOT, {});
  EXPECT_EQ(paths.transformer, fs::path(DEMO_SNAPSHOT) / "transformer");
  EXPECT_EQ(paths.tokenizer, fs::path(DEMO_SNAPSHOT) / "text_encoder");
  EXPECT_EQ(paths.index["height"], 48);
}

TEST(FindSnapshot, APathThatIsGivenReplacesThePart) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "vae");
  EXPECT_EQ(find_snapshot(DEMO_SNAPSHOT, {.vae = folder / "vae"}).vae, folder / "vae");
}

TEST(FindSnapshot, SaysWhatIsMissingWhereAndWhichOptionHelps) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { find_snapshot(folder / "none", {}); }),
              AllOf(HasSubstr((folder / "none").string()), HasSubstr("not a folder"), HasSubstr("--snapshot")));
  EXPECT_THAT(error_of([&] { find_snapshot({}, {}); }), AllOf(HasSubstr("transformer"), HasSubstr("--snapshot")));
  fs::create_directories(folder / "transformer");
  EXPECT_THAT(error_of([&] { find_snapshot(folder.path(), {}); }),
              AllOf(HasSubstr((folder / "vae").string()), HasSubstr("does not exist"), HasSubstr("--vae")));
}

TEST(FindSnapshot, NamesAnIndexThatCannotBeRead) {
  const TemporaryFolder folder;
  folder.write("model_index.json", "{");
  EXPECT_THAT(error_of([&] { find_snapshot(folder.path(), {}); }), AllOf(HasSubstr("model_index.json"), HasSubstr("not valid JSON")));
  folder.write("model_index.json", R"({"transformer": 3})");
  EXPECT_THAT(error_of([&] { find_snapshot(folder.path(), {}); }), AllOf(HasSubstr("model_index.json"), HasSubstr("transformer")));
}

TEST(OpenModel, NamesAFileThatIsMissing) {
  const TemporaryFolder folder;
  fs::copy(DEMO_SNAPSHOT, folder / "demo", fs::copy_options::recursive);
  const auto backend = make_cpu_backend();
  const TeamChannels alone = lone_channels();
  const auto error = [&] { return error_of([&] { find_model({"opensora-1.2", folder / "demo", {}})->open(*backend, {}, alone); }); };
  EXPECT_EQ(error(), "no error");
  for (const char* file : {"vae/config.json", "transformer/model.safetensors", "text_encoder/spiece.model"}) {
    const fs::path path = folder / "demo" / file, aside = folder / "aside";
    fs::rename(path, aside);
    EXPECT_THAT(error(), HasSubstr((path.filename() == "model.safetensors" ? path.parent_path() : path).string()));
    fs::rename(aside, path);
  }
}

}  // namespace
}  // namespace pyracast
