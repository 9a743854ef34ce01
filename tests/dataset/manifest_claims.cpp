#include "dataset/work_queue_list.hpp"
#include "manifest_test.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;

class WorkListOfManifest : public ManifestTest {
 protected:
  std::vector<Claim> all(WorkList list) const {
    std::vector<Claim> claims;
    while (const auto claim = list.take()) claims.push_back(*claim);
    EXPECT_EQ(list.take(), std::nullopt);
    return claims;
  }
  const Manifest manifest_ = Manifest::build(
      bytes_of("{\"prompt\": \"a\", \"samples\": 2}\n{\"prompt\": \"b\", \"samples\": 5}\n{\"prompt\": \"c\"}\n"),
      "x.jsonl", folder_);
};

TEST_F(WorkListOfManifest, KeepsTheSamplesOfAPromptTogetherLongestFirst) {
  const auto none = [](uint64_t, uint32_t) { return false; };
  EXPECT_THAT(all(WorkList(manifest_, none)), ElementsAre(Claim{1, 0, 5}, Claim{0, 0, 2}, Claim{2, 0, 1}));
}

TEST_F(WorkListOfManifest, SplitsAPromptOfManySamples) {
  const auto none = [](uint64_t, uint32_t) { return false; };
  EXPECT_THAT(all(WorkList(manifest_, none, 2)),
              ElementsAre(Claim{1, 0, 2}, Claim{1, 2, 2}, Claim{1, 4, 1}, Claim{0, 0, 2}, Claim{2, 0, 1}));
}

TEST_F(WorkListOfManifest, LeavesOutWhatIsFinished) {
  const auto some = [](uint64_t prompt, uint32_t sample) { return prompt == 0 || (prompt == 1 && sample % 3 == 0); };
  EXPECT_THAT(all(WorkList(manifest_, some)), ElementsAre(Claim{1, 1, 2}, Claim{1, 4, 1}, Claim{2, 0, 1}));
  EXPECT_THAT(all(WorkList(manifest_, [](uint64_t, uint32_t) { return true; })), ElementsAre());
}

}  // namespace
}  // namespace pyracast
