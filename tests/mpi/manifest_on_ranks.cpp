#include "dataset/manifest_on_ranks.hpp"

#include "mpi_test.hpp"

namespace pyracast {
namespace {

class ManifestOnRanks : public MpiTest {};

TEST_F(ManifestOnRanks, IsTheSameOnEach) {
  const Manifest manifest = manifest_of(100);
  EXPECT_EQ(manifest.size(), 100u);
  EXPECT_EQ(manifest.row(99).text, "prompt 99");
  const auto hash = int64_t(hash_of_id(manifest.fingerprint()));
  EXPECT_THAT(gathered(hash), testing::Each(hash));
}

TEST_F(ManifestOnRanks, IsReplacedForAll) {
  EXPECT_EQ(manifest_of(3).size(), 3u);
  EXPECT_EQ(manifest_of(5).size(), 5u);
}

TEST_F(ManifestOnRanks, ThatIsWrongIsAnErrorOnEach) {
  std::string message = "no error";
  try {
    build_manifest(ranks_, (folder_ / "absent.jsonl").string(), folder_);
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_THAT(message, testing::HasSubstr("absent.jsonl: cannot be opened: No such file"));
}

}  // namespace
}  // namespace pyracast
