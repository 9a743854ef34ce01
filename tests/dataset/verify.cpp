#include "dataset/verify.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>

#include "dataset/folder_lock.hpp"
#include "dataset/index_file.hpp"
#include "dataset/mp4.hpp"
#include "whole_dataset.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
namespace fs = std::filesystem;

class Verify : public WholeDataset {
 protected:
  Verification found_;
  std::vector<std::string> verify(double percent = 100, const fs::path& prompts = {}) {
    found_ = pyracast::verify({.output = output_, .prompts = prompts, .videos_percent = percent, .threads = 2});
    std::vector<std::string> lines;
    for (const Finding& finding : found_.findings) lines.push_back(name_of(finding.defect) + " " + finding.path + ": " + finding.what);
    return lines;
  }
  std::string relative(const fs::path& path) const { return path.lexically_relative(output_).string(); }
};

TEST_F(Verify, FindsAWholeDatasetWhole) {
  EXPECT_THAT(verify(), IsEmpty());
  EXPECT_EQ(found_.code(), ExitCode::complete_with_failures);
  EXPECT_THAT(std::vector({found_.asked_for, found_.done, found_.failed, found_.left}), ElementsAre(7, 6, 1, 0));
  EXPECT_EQ(found_.videos_checked, 6u);
  EXPECT_GT(found_.array_bytes, 6 * small_video().rgb.size());
  EXPECT_THAT(found_.failures, ElementsAre(testing::Pair("the latents are not finite after step N of N", 1)));
  EXPECT_THAT(found_.notes, IsEmpty());
}

TEST_F(Verify, NamesAVideoOfWhichABitWasFlipped) {
  flip_bit(video("a", 1), fs::file_size(video("a", 1)) / 2);
  EXPECT_THAT(verify(), ElementsAre(AllOf(HasSubstr("video-changed"), HasSubstr(video_path("a", 1)), HasSubstr("sample 1 of \"a\""))));
  EXPECT_EQ(found_.code(), ExitCode::damaged);
  EXPECT_THAT(verify(0), IsEmpty()) << "videos are not read where none are asked for";
}

TEST_F(Verify, NamesAVideoThatIsGone) {
  fs::remove(video("b"));
  EXPECT_THAT(verify(0), ElementsAre(AllOf(HasSubstr("video-missing"), HasSubstr(video_path("b", 0)))));
}

TEST_F(Verify, DecodesEveryVideoToItsFramesAndSize) {
  write_mp4(video("b"), Video{2, 16, 32, 8, std::vector<uint8_t>(2 * 16 * 32 * 3)}, {}, 18);
  const auto shard = shard_of("b");
  ShardFile changed(layout_.shards() / ".changed.tmp", run_fingerprint, "{}");
  const ShardReader reader(shard);
  for (size_t i = 0; i < reader.size(); ++i) {
    SampleRecord row = reader.whole(i);
    if (row.id == "b") row.video_sha256 = sha256_of_file(video("b"));
    changed.append(row);
  }
  changed.seal_as(shard);
  derive(output_, {});
  EXPECT_THAT(verify(), ElementsAre(AllOf(HasSubstr("video-undecodable"), HasSubstr("2 frames of 16 x 32, expected 3 of 16 x 32"))));
}

TEST_F(Verify, FindsABitThatWasFlippedAnywhereInAShard) {
  const auto path = shard_of("d");
  const std::string sound = read_file(path);
  for (size_t byte = 40; byte < sound.size(); byte += sound.size() / 13) {
    flip_bit(path, byte, int(byte % 8));
    EXPECT_THAT(verify(0), Contains(AllOf(HasSubstr("shard-"), HasSubstr(relative(path))))) << "byte " << byte;
    EXPECT_EQ(found_.code(), ExitCode::damaged);
    write_atomically(path, sound);
  }
  EXPECT_THAT(verify(0), IsEmpty());
}

TEST_F(Verify, SurvivesAnyBitThatIsFlippedInTheIndexAndInAShardThatNoIndexLists) {
  for (const bool of_index : {true, false}) {
    const auto path = of_index ? layout_.index() : shard_of("d");
    if (!of_index) remove_index(output_);
    const std::string sound = read_file(path);
    for (size_t byte = 40; byte < sound.size(); byte += sound.size() / 23) {
      flip_bit(path, byte, int(byte % 8));
      verify(0);   // it may be a byte that nothing depends on
      write_atomically(path, sound);
    }
    EXPECT_THAT(verify(0), IsEmpty());
  }
}

TEST_F(Verify, FindsABitThatWasFlippedInAnArrayWithoutTheIndex) {
  const auto path = shard_of("d");
  const std::string frame(reinterpret_cast<const char*>(small_video('d').rgb.data()), 64);
  const size_t at = read_file(path).find(frame);
  ASSERT_NE(at, std::string::npos);
  flip_bit(path, at + 5);
  remove_index(output_);
  EXPECT_THAT(verify(0), ElementsAre(AllOf(HasSubstr("shard-damaged"), HasSubstr(relative(path)), HasSubstr("does not fit its checksum"))));
}

TEST_F(Verify, NamesAShardThatIsGoneAndCountsItsSamplesAsLeft) {
  const auto path = shard_of("d");
  fs::remove(path);
  EXPECT_THAT(verify(), ElementsAre(AllOf(HasSubstr("shard-missing"), HasSubstr(relative(path)))));
  EXPECT_EQ(found_.left, 3u);
  EXPECT_EQ(found_.code(), ExitCode::damaged);
}

TEST_F(Verify, NamesStrayFiles) {
  const std::vector<fs::path> strays{layout_.videos() / "00/00/x.mp4", layout_.shards() / "notes.txt", output_ / "index.h5.tmp",
                                     layout_.videos() / "00/00/y.mp4.tmp"};
  fs::create_directories(layout_.videos() / "00/00");
  for (const auto& path : strays) write_atomically(path, "x");
  std::vector<testing::Matcher<std::string>> expected;
  for (const auto& path : strays) expected.push_back(HasSubstr("stray " + relative(path)));
  EXPECT_THAT(verify(), testing::UnorderedElementsAreArray(expected));
  for (const char* name : {"contact-sheet.png", "mydata.tmp"}) write_atomically(output_ / name, "the user's own");
  EXPECT_EQ(verify().size(), strays.size());
}

TEST_F(Verify, KeepsTheFirstOfManyFindingsAndCountsTheOthers) {
  const size_t most = Verification::most_findings;
  fs::create_directories(output_ / "videos" / "zz");
  for (size_t i = 0; i < most + 3; ++i) std::ofstream(output_ / "videos" / "zz" / concat(i, ".mp4"));
  EXPECT_EQ(verify(0).size(), most);
  EXPECT_EQ(found_.further_findings, 3u);
  EXPECT_EQ(found_.code(), ExitCode::damaged);
  EXPECT_THAT(put_aside(found_), Contains(HasSubstr("3 findings more")));
  EXPECT_EQ(verify(0).size(), 3u) << "the next one finds the others";
}

TEST_F(Verify, NamesASampleThatStandsInTwoRows) {
  make({{"b", 0}});
  derive(output_, {});
  EXPECT_THAT(verify(0), ElementsAre(AllOf(HasSubstr("sample-twice"), HasSubstr("sample 0 of \"b\""))));
}

TEST_F(Verify, NamesASampleOfAnotherPromptThanTheManifests) {
  std::string rows;
  for (const std::string id : {"a", "b", "c", "d", "e"})
    rows += Json{{"id", id}, {"prompt", id == "d" ? "another" : prompt_of(id)}, {"samples", id == "a" ? 3 : 1}}.dump() + "\n";
  Manifest::build(bytes_of(rows), "prompts.jsonl", output_);
  EXPECT_THAT(verify(0), ElementsAre(AllOf(HasSubstr("sample-differs"), HasSubstr("sample 0 of \"d\""), HasSubstr("another"))));
}

TEST_F(Verify, CountsWhatIsMissing) {
  write_manifest({"a", "b", "c", "d", "e", "f", "g"});
  EXPECT_THAT(verify(), IsEmpty());
  EXPECT_EQ(found_.left, 2u);
  EXPECT_EQ(found_.code(), ExitCode::more_to_do);
}

TEST_F(Verify, HoldsTheDatasetAgainstAManifestThatIsGiven) {
  write_atomically(output_ / "longer.jsonl",
                   "{\"id\": \"a\", \"prompt\": \"the prompt of a\", \"samples\": 5}\n{\"id\": \"x\", \"prompt\": \"x\"}\n");
  EXPECT_THAT(verify(0, output_ / "longer.jsonl"), IsEmpty());
  EXPECT_THAT(std::vector({found_.asked_for, found_.left, found_.not_asked_for}), ElementsAre(6, 3, 4));
  write_atomically(output_ / "rejected.jsonl", "{\"line\": 2, \"reason\": \"no such size\", \"text\": \"\", \"id\": \"x\"}\n");
  verify(0, output_ / "longer.jsonl");
  EXPECT_THAT(std::vector({found_.asked_for, found_.left, found_.rejected}), ElementsAre(5, 2, 1))
      << "what the run refused is not awaited";
}

TEST_F(Verify, TakesWhatAKillLeavesForWorkThatIsLeft) {
  write_manifest({"a", "b", "c", "d", "e", "f", "g"});
  write_atomically(layout_.shards() / ".team-0.1.tmp", "x");
  fs::create_directories(video("f").parent_path());
  write_atomically(video("f"), "renamed into place, and then the power failed");
  put_journal("team-0.journal", {failed_sample(0)});
  SampleRecord g = record("g", 0);
  g.pixels.reset();
  JournalWriter(layout_.journal() / "team-1.journal", run_fingerprint).append(g);
  cut(layout_.journal() / "team-1.journal", fs::file_size(layout_.journal() / "team-1.journal") - 1);
  EXPECT_THAT(verify(0), IsEmpty());
  EXPECT_EQ(found_.left, 2u);
  EXPECT_EQ(found_.code(), ExitCode::more_to_do);
  EXPECT_THAT(found_.notes, Contains(HasSubstr("2 files are what a job was writing")));
  EXPECT_THAT(found_.notes, Contains(HasSubstr("is torn, as a kill leaves it")));
}

TEST_F(Verify, NamesAJournalRecordThatDoesNotFitItsChecksum) {
  const auto path = put_journal("team-0.journal", {failed_sample(0)});
  flip_bit(path, fs::file_size(path) - 9);
  EXPECT_THAT(verify(0), ElementsAre(AllOf(HasSubstr("journal-damaged journal/team-0.journal"), HasSubstr("record 1"))));
}

TEST_F(Verify, NamesDerivedFilesThatDoNotSayWhatTheShardsSay) {
  const std::string lines = read_file(layout_.metadata());
  const size_t at = lines.find("prompt of");
  write_atomically(layout_.metadata(), lines.substr(0, at) + "PROMPT" + lines.substr(at + 6));
  EXPECT_THAT(verify(0), ElementsAre(AllOf(HasSubstr("metadata-differs"), HasSubstr("1 of 6 lines"), HasSubstr("line 1"))));
  write_atomically(layout_.metadata(), lines + "{}\n");
  EXPECT_THAT(verify(0), ElementsAre(AllOf(HasSubstr("metadata-differs"), HasSubstr("goes on after line 6"))));
  fs::remove(layout_.metadata());
  EXPECT_THAT(verify(0), IsEmpty());
  EXPECT_THAT(found_.notes, Contains(HasSubstr("metadata.jsonl is not there")));
  EXPECT_EQ(found_.code(), ExitCode::more_to_do) << "as where the index is not there";
  write_atomically(layout_.metadata(), lines);
  write_atomically(layout_.run(), "{");
  EXPECT_THAT(verify(0), ElementsAre(HasSubstr("run-unreadable run.json")));
  derive(output_, {});
  cut(layout_.index(), fs::file_size(layout_.index()) / 2);
  EXPECT_THAT(verify(0), ElementsAre(HasSubstr("index-differs index.h5")));
}

TEST_F(Verify, HoldsTheIndexAgainstTheShardsInMemoryThatDoesNotGrowWithThem) {
  // Each shard holds one sample, of a prompt of 0.2 MB. The index is looked at in child processes.
  const auto most_of_children = [&](int shards) {
    for (int n = 0; n < shards; ++n) {
      SampleRecord row = failed_sample(n);
      row.prompt = std::string(200'000, char('a' + n % 26));
      put_shard({row});
    }
    derive(output_, {});
    verify(0);
    struct rusage use {};
    ::getrusage(RUSAGE_CHILDREN, &use);
    return use.ru_maxrss << 10;
  };
  const auto of_few = most_of_children(40);
  EXPECT_LT(most_of_children(100), of_few + 12'000'000) << "whose prompts are 12 MB more, which would be held several times";
  EXPECT_THAT(found_.findings, IsEmpty());
}

TEST_F(Verify, ReadsManyShardsAFewTimesAndInFewChildProcesses) {
  static int forks = 0;
  ::pthread_atfork(nullptr, [] { ++forks; }, nullptr);
  const auto bytes_read = [] {   // by this process and its children
    std::ifstream counts("/proc/self/io");
    std::string name;
    int64_t bytes = 0;
    counts >> name >> bytes;
    return bytes;
  };
  constexpr int shards = 300;
  for (int n = 0; n < shards; ++n) put_shard({failed_sample(n)});
  derive(output_, {});
  const int forks_before = forks;
  const int64_t bytes_before = bytes_read();
  verify(0);
  int64_t bytes = 0;
  for (const auto& path : sealed_shards(layout_.shards())) bytes += int64_t(fs::file_size(path));
  EXPECT_LT(bytes_read() - bytes_before, 4 * bytes) << "some two readings of each, and what HDF5 reads more of small files";
  EXPECT_LT(forks - forks_before, shards / 10);
  EXPECT_THAT(found_.findings, IsEmpty());
}

TEST_F(Verify, NamesAnIndexThatIsNotWhatWasWritten) {
  const size_t at = read_file(layout_.index()).find("the prompt of b");
  ASSERT_NE(at, std::string::npos);
  flip_bit(layout_.index(), at);
  EXPECT_THAT(verify(0), ElementsAre(AllOf(HasSubstr("index-differs index.h5"), HasSubstr("does not fit its checksum"))));
}

TEST_F(Verify, TakesAnIndexOfAnEarlierVersionForWhole) {
  const IndexedShards listed = shards_in_index(layout_.index());
  fs::remove(layout_.index());
  hdf5::Handle file = hdf5::create_file(layout_.index()), list = hdf5::create_group(file, "shards");
  hdf5::write_attribute(file, "format_version", 4);
  hdf5::write_dataset(list, "name", listed.names);
  hdf5::write_dataset(list, "rows", listed.rows);
  hdf5::write_dataset(list, "sha256", listed.hashes);
  list.close("");
  file.close("");
  EXPECT_THAT(verify(0), IsEmpty());
  EXPECT_EQ(found_.code(), ExitCode::complete_with_failures);
  EXPECT_THAT(found_.notes, ElementsAre(HasSubstr("index.h5 is of format 4")));
}

/// This process may open so many files more.
class FilesLeft {
 public:
  explicit FilesLeft(int more) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::open("/dev/null", O_RDONLY);   // the lowest that is free
    ::close(next);
    const struct rlimit few { rlim_t(next + more), before_.rlim_max };
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FilesLeft() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  struct rlimit before_ {};
};

TEST_F(Verify, TooFewOpenFilesAreNoDamage) {
  EXPECT_THAT(verify(), IsEmpty());   // what is opened once and for all is open
  for (int more = 0; more < 12; ++more) {
    const FilesLeft few(more);
    try {
      EXPECT_THAT(verify(), IsEmpty()) << more << " files";
    } catch (const std::exception& error) {
      EXPECT_EQ(as_error(error).code, ExitCode::environment) << more << " files: " << error.what();
      EXPECT_THAT(as_error(error).what(), HasSubstr("ulimit -n")) << more << " files";
    }
  }
}

TEST_F(Verify, TakesDerivedFilesThatAreBehindForWorkThatIsLeft) {
  remove_index(output_);
  EXPECT_THAT(verify(0), IsEmpty());
  EXPECT_EQ(found_.code(), ExitCode::more_to_do);
  derive(output_, {});
  write_manifest({"a", "b", "c", "d", "e", "f"});
  make({{"f", 0}});
  EXPECT_THAT(verify(0), IsEmpty());
  EXPECT_EQ(found_.left, 0u);
  EXPECT_EQ(found_.code(), ExitCode::more_to_do);
  EXPECT_THAT(found_.notes, ElementsAre(HasSubstr("index.h5 does not list 1 shard:")));
}

TEST_F(Verify, NamesAShardOfOtherSettings) {
  SampleRecord other = record("z", 0);
  const auto path = put_shard({other}, other_fingerprint);
  EXPECT_THAT(verify(0), Contains(HasSubstr("shard-foreign ")));
}

TEST_F(Verify, NamesADamagedManifest) {
  for (const auto& entry : fs::directory_iterator(layout_.work()))
    if (entry.path().extension() == ".jsonl") {
      flip_bit(entry.path(), 20);
    }
  EXPECT_THAT(verify(0), Contains(HasSubstr("manifest-damaged")));
}

TEST_F(Verify, WhatIsPutAsideIsMissingAndTheRestIsSound) {
  flip_bit(video("a", 1), 300);
  const auto broken = shard_of("d");
  cut(broken, fs::file_size(broken) / 2);
  make({{"b", 0}});
  write_atomically(layout_.shards() / "notes.txt", "x");
  verify();
  EXPECT_EQ(found_.code(), ExitCode::damaged);
  EXPECT_EQ(put_aside(found_).size(), 4u);
  EXPECT_TRUE(fs::exists(layout_.quarantine() / "notes.txt"));
  EXPECT_FALSE(fs::exists(video("a", 1)));
  EXPECT_THAT(verify(), ElementsAre(HasSubstr("video-missing")));
  recover();
  EXPECT_EQ(finished_.size(), 3u) << "a 0, a 2 and b";
  EXPECT_THAT(verify(), IsEmpty());
  EXPECT_EQ(found_.left, 4u);
}

TEST_F(Verify, DoesNotJudgeWhatARunningJobWrites) {
  remove_index(output_);
  write_atomically(output_ / "index.h5.tmp", "x");
  const pid_t other = ::fork();
  if (other == 0) {
    const FolderLock lock(output_);
    ::pause();
    ::_exit(0);
  }
  while (!holder_of_lock(output_)) ::usleep(1000);
  EXPECT_THAT(verify(0), IsEmpty());
  EXPECT_THAT(found_.running, HasSubstr(concat("process ", other)));
  EXPECT_EQ(found_.code(), ExitCode::more_to_do);
  EXPECT_THROW(FolderLock{output_}, Error);
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  EXPECT_EQ(holder_of_lock(output_), std::nullopt);
}

TEST_F(Verify, RefusesAFolderThatHoldsNoDataset) {
  EXPECT_THROW(pyracast::verify({.output = folder_.path() / "none"}), Error);
  fs::remove(layout_.work() / "manifest.index");
  EXPECT_THAT([&] { verify(0); }, testing::ThrowsMessage<Error>(HasSubstr("--prompts")));
}

}  // namespace
}  // namespace pyracast
