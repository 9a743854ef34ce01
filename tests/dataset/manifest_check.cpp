#include "dataset/manifest_check.hpp"

#include "manifest_test.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class ManifestCheckTest : public ManifestTest {};

TEST_F(ManifestCheckTest, SaysWhatARunWouldMakeAndLeaveOut) {
  const auto path = write("a.jsonl", "{\"id\": \"a\", \"prompt\": \"x\", \"samples\": 3}\nno json\n"
                                     "{\"id\": \"a\", \"prompt\": \"x\", \"samples\": 3}\n{\"id\": \"a\", \"prompt\": \"other\"}\n"
                                     "{\"prompt\": \"y\", \"frames\": 9}\n{\"prompt\": \"z\"}\n");
  const ManifestCheck check = check_manifest(path.string(), {.check = [](const Prompt& row) {
    return row.frames ? std::optional<std::string>("no such number of frames") : std::nullopt;
  }, .cost = [](const Prompt&) { return 10; }}, 2);
  EXPECT_EQ(check.prompts, 2u);
  EXPECT_EQ(check.samples, 4u);
  EXPECT_EQ(check.merged, 1u);
  EXPECT_EQ(check.rejected, 3u);
  EXPECT_EQ(check.cost, 40);
  ASSERT_EQ(check.first_rejected.size(), 2u);
  EXPECT_EQ(check.first_rejected[0].line, 2);
  EXPECT_EQ(check.first_rejected[0].text, "no json");
  EXPECT_THAT(check.first_rejected[1].reason, HasSubstr("stands in line 1 already"));
  EXPECT_THAT(check.refusal, IsEmpty());
}

TEST_F(ManifestCheckTest, SaysWhyNothingWouldBeMade) {
  const auto none = check_manifest(write("a.jsonl", "{}\n").string(), {}, 20);
  EXPECT_THAT(none.refusal, HasSubstr("no prompt is left"));
  EXPECT_EQ(none.first_rejected.size(), 1u);
  const auto strict = check_manifest(write("b.jsonl", "{\"prompt\": \"x\"}\n{}\n").string(), {.strict = true}, 20);
  EXPECT_THAT(strict.refusal, HasSubstr("strict allows none"));
  EXPECT_THAT(strict.refusal, testing::Not(HasSubstr("listed in")));
  EXPECT_THROW(check_manifest((folder_ / "none.jsonl").string(), {}, 20), Error);
}

}  // namespace
}  // namespace pyracast
