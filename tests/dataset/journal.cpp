#include "dataset/journal.hpp"

#include "samples.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class Journal : public RunFolder {
 protected:
  std::vector<SampleRecord> read_;
  JournalEnd read(const std::string& bytes, const std::string& fingerprint = run_fingerprint) {
    read_.clear();
    return read_journal(std::as_bytes(std::span(bytes)), fingerprint, [&](SampleRecord record) { read_.push_back(std::move(record)); });
  }
};

TEST_F(Journal, GivesBackEveryFieldOfWhatWasAppended) {
  SampleRecord strange = full_sample(1), empty;
  strange.prompt = "\"quoted\"\\\n\t\r\x01 \xf4\x8f\xbf\xbf e\u0301 \u202e";
  SampleRecord huge = small_sample(2);
  huge.prompt = std::string(100'000, 'x');
  const std::vector<SampleRecord> written{full_sample(0), strange, empty, huge, failed_sample(3)};
  const JournalEnd end = read(read_file(put_journal("j", written)));
  EXPECT_THAT(end.problem, IsEmpty());
  ASSERT_EQ(read_.size(), written.size());
  for (size_t i = 0; i < written.size(); ++i) EXPECT_THAT(read_[i], IsSample(written[i]));
  EXPECT_EQ(read_[1].prompt, strange.prompt);
  EXPECT_EQ(read_[1].pixels->rgb, strange.pixels->rgb);
}

TEST_F(Journal, CutAnywhereGivesTheWholeRecordsBeforeTheCut) {
  std::vector<size_t> ends;
  const auto path = layout_.journal() / "j";
  {
    JournalWriter journal(path, run_fingerprint);
    for (int n = 0; n < 3; ++n) {
      ends.push_back(std::filesystem::file_size(path));
      journal.append(full_sample(n));
    }
    ends.push_back(std::filesystem::file_size(path));
  }
  const std::string whole = read_file(path);
  for (size_t size = 0; size <= whole.size(); ++size) {
    const JournalEnd end = read(whole.substr(0, size));
    const auto expected = size_t(std::upper_bound(ends.begin(), ends.end(), size) - ends.begin());
    ASSERT_EQ(end.records, expected ? expected - 1 : 0) << size;
    ASSERT_EQ(end.problem.empty(), std::binary_search(ends.begin(), ends.end(), size)) << size;
    ASSERT_EQ(end.held_nothing, size <= ends[0]) << size;
    for (size_t i = 0; i < read_.size(); ++i) ASSERT_EQ(read_[i].id, concat("sample-", i));
  }
}

TEST_F(Journal, NoticesAnyFlippedBit) {
  const std::string whole = read_file(put_journal("j", {small_sample(0), small_sample(1)}));
  for (size_t byte = 0; byte < whole.size(); ++byte) {
    std::string damaged = whole;
    damaged[byte] = char(damaged[byte] ^ (1 << byte % 8));
    const JournalEnd end = read(damaged);
    ASSERT_THAT(end.problem, testing::Not(IsEmpty())) << byte;
    for (size_t i = 0; i < read_.size(); ++i) ASSERT_THAT(read_[i], IsSample(small_sample(int(i)))) << byte;
  }
}

TEST_F(Journal, OfAnotherRunGivesNothing) {
  const JournalEnd end = read(read_file(put_journal("j", {small_sample(0)}, other_fingerprint)));
  EXPECT_THAT(read_, IsEmpty());
  EXPECT_THAT(end.problem, HasSubstr("belongs to a run of other settings (fingerprint bbb"));
  EXPECT_FALSE(end.held_nothing);
}

TEST_F(Journal, OfAnyOtherFileGivesNothing) {
  EXPECT_THAT(read(std::string(5000, 'x')).problem, HasSubstr("does not begin as a journal does"));
  EXPECT_THAT(read_, IsEmpty());
}

TEST_F(Journal, ClearedHoldsWhatIsAppendedAfterwards) {
  const auto path = layout_.journal() / "j";
  JournalWriter journal(path, run_fingerprint);
  journal.append(full_sample(0));
  journal.clear();
  EXPECT_TRUE(read(read_file(path)).held_nothing);
  journal.append(small_sample(1));
  EXPECT_EQ(read(read_file(path)).problem, "");
  ASSERT_EQ(read_.size(), 1u);
  EXPECT_THAT(read_[0], IsSample(small_sample(1)));
}

TEST_F(Journal, IsNeverWrittenOverAnother) {
  const auto path = put_journal("j", {});
  EXPECT_THAT([&] { JournalWriter(path, run_fingerprint); },
              testing::ThrowsMessage<Error>(HasSubstr("the journal cannot be made: File exists")));
}

}  // namespace
}  // namespace pyracast
