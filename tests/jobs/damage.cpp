// What has happened to an output folder between two runs, or is happening to it: damaged files, folders that cannot be written
// to, another job. With the null model, which takes no time.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "program.hpp"

namespace pyracast::testing {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

std::vector<fs::path> files_below(const fs::path& folder, const char* extension) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == extension) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void change(const fs::path& path, const std::function<void(std::string&)>& act) {
  std::string content = read_text(path);
  act(content);
  std::ofstream(path, std::ios::binary) << content;
}

class WithoutAModel : public GenerateTest {
 protected:
  std::vector<std::string> words(int ranks, const std::string& output, std::vector<std::string> more = {}) const {
    std::vector<std::string> all;
    if (ranks > 0) all = {MPIEXEC, "-n", std::to_string(ranks)};
    for (const char* word : {PYRACAST, "generate", "--model", "null", "--threads", "1", "--shard-samples", "3", "--prompts"}) all.emplace_back(word);
    all.insert(all.end(), {(folder / "prompts.jsonl").string(), "--output", (folder / output).string()});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  void SetUp() override {
    GenerateTest::SetUp();
    manifest(8);
  }
};

using NullModel = WithoutAModel;

TEST_F(NullModel, GivesTheSameBytesOnAnyRanksAndTeamsAndOthersForAnotherSeed) {
  ASSERT_EQ(run(words(0, "alone")).code, 0);
  const auto alone = content_of(folder / "alone");
  ASSERT_EQ(alone.size(), 2 * 11u);
  for (const auto& [ranks, team] : {std::pair{3, "1"}, {4, "2"}}) {
    const std::string output = "on-" + std::to_string(ranks);
    const Ended ended = run(words(ranks, output, {"--ranks-per-video", team}));
    ASSERT_EQ(ended.code, 0) << ended.output;
    EXPECT_EQ(content_of(folder / output), alone) << output;
  }
  ASSERT_EQ(run(words(0, "other", {"--seed", "7"})).code, 0);
  for (const auto& [name, bytes] : content_of(folder / "other")) EXPECT_TRUE(bytes.empty() || bytes != alone.at(name)) << name;
}

TEST_F(NullModel, HasNoParts) {
  const Ended ended = run(words(0, "out", {"--snapshot", DEMO_SNAPSHOT}));
  EXPECT_EQ(ended.code, 64);
  EXPECT_THAT(ended.output, HasSubstr("the null model has no parts"));
}

constexpr size_t every_shard = size_t(-1);

/// One thing that went wrong with the files of a finished dataset.
struct Damage {
  const char* name;
  void (*act)(const fs::path& output);
  size_t put_aside;   ///< files, or every_shard: how many there are depends on which rank made what
  std::vector<std::string> more = {};
};
void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

class Damaged : public WithoutAModel, public ::testing::WithParamInterface<Damage> {};

TEST_P(Damaged, IsFoundPutAsideAndMadeAgain) {
  ASSERT_EQ(run(words(2, "out")).code, 0);
  const auto before = content_of(folder / "out");
  const size_t put_aside = GetParam().put_aside == every_shard ? files_below(folder / "out" / "shards", ".h5").size() : GetParam().put_aside;
  GetParam().act(folder / "out");
  const Ended again = run(words(3, "out", GetParam().more));
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_EQ(content_of(folder / "out"), before);
  const fs::path aside = folder / "out" / "quarantine";
  EXPECT_EQ(fs::exists(aside) ? size_t(std::distance(fs::directory_iterator(aside), {})) : 0, put_aside) << again.output;
  if (put_aside) {
    EXPECT_THAT(again.output, HasSubstr("quarantine/")) << "it is told where";
  }
}

INSTANTIATE_TEST_SUITE_P(
    , Damaged,
    ::testing::Values(Damage{"VideoCut", [](const fs::path& out) { fs::resize_file(files_below(out / "videos", ".mp4")[2], 500); }, 1},
                      Damage{"VideoEmptied", [](const fs::path& out) { fs::resize_file(files_below(out / "videos", ".mp4")[3], 0); }, 1},
                      Damage{"VideoWithAFlippedBit",
                             [](const fs::path& out) { change(files_below(out / "videos", ".mp4")[4], [](auto& bytes) { bytes[900] ^= 4; }); }, 1},
                      Damage{"VideoThatWornDiskChanged",
                             [](const fs::path& out) {
                               const fs::path video = files_below(out / "videos", ".mp4")[5];
                               const auto time = fs::last_write_time(video);
                               change(video, [](auto& bytes) { bytes[900] ^= 4; });
                               fs::last_write_time(video, time);
                             },
                             1,
                             {"--check-files"}},
                      Damage{"VideoRemoved", [](const fs::path& out) { fs::remove(files_below(out / "videos", ".mp4")[0]); }, 0},
                      Damage{"AllVideosRemoved", [](const fs::path& out) { fs::remove_all(out / "videos"); }, 0},
                      Damage{"ShardCut", [](const fs::path& out) { fs::resize_file(files_below(out / "shards", ".h5")[1], 5000); }, 1},
                      Damage{"ShardsEachWithAFlippedBit",
                             [](const fs::path& out) {
                               size_t at = 1000;
                               for (const fs::path& shard : files_below(out / "shards", ".h5"))
                                 change(shard, [&](auto& bytes) { bytes.at(at += 1777) ^= 1; });
                             },
                             every_shard},
                      Damage{"ShardCopiedUnderAnotherName",
                             [](const fs::path& out) {
                               const fs::path shard = files_below(out / "shards", ".h5")[0];
                               fs::copy_file(shard, shard.parent_path() / "shard-00000000000000000000.h5");
                             },
                             0},
                      Damage{"IndexOfNothing", [](const fs::path& out) { fs::resize_file(out / "index.h5", 100); }, 0},
                      Damage{"EverythingDerivedRemoved",
                             [](const fs::path& out) {
                               for (const char* name : {"index.h5", "metadata.jsonl", "run.json"}) fs::remove(out / name);
                             },
                             0}),
    [](const auto& info) { return info.param.name; });

/// A folder that nobody can write to, root neither.
class Immutable {
 public:
  explicit Immutable(fs::path folder) : folder_(std::move(folder)) { is_ = chattr("+i"); }
  ~Immutable() { chattr("-i"); }
  explicit operator bool() const { return is_; }

 private:
  fs::path folder_;
  bool is_;
  bool chattr(const char* how) const { return std::system(("chattr " + std::string(how) + " " + folder_.string() + " 2>/dev/null").c_str()) == 0; }
};

class ReadOnly : public WithoutAModel, public ::testing::WithParamInterface<const char*> {};

TEST_P(ReadOnly, FolderEndsTheJobWithTheEnvironmentsCodeAndTheNextRunCompletesIt) {
  ASSERT_EQ(run(words(1, "out")).code, 0);
  const auto before = content_of(folder / "out");
  fs::remove(files_below(folder / "out" / "videos", ".mp4")[0]);   // something to do
  {
    const Immutable immutable(folder / "out" / GetParam());
    if (!immutable) GTEST_SKIP() << "chattr +i does not work here (needs root and a file system that has it)";
    const Ended ended = run(words(0, "out"));
    EXPECT_EQ(ended.code, 69) << ended.output;
    EXPECT_THAT(ended.output, AllOf(HasSubstr((folder / "out" / GetParam()).string()),
                                    AnyOf(HasSubstr("Operation not permitted"), HasSubstr("Permission denied"), HasSubstr("Read-only"))));
  }
  const Ended ended = run(words(2, "out"));
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(content_of(folder / "out"), before);
}

INSTANTIATE_TEST_SUITE_P(, ReadOnly, ::testing::Values("shards", "journal", "work", ""), [](const auto& info) {
  return std::string(*info.param ? info.param : "whole");
});

TEST_F(NullModel, LeavesAFolderAloneThatHoldsSomethingElse) {
  const auto mine = [&](const std::string& name) { return file("own/" + name, "mine"); };
  const std::vector<fs::path> files{mine("mydata.tmp"), mine("shards/x/model.tmp"), mine("metadata.jsonl"), mine("run.json")};
  for (const fs::path& one : files) {
    const Ended ended = run(words(0, "own"));
    EXPECT_EQ(ended.code, 64) << ended.output;
    EXPECT_THAT(ended.output, AllOf(HasSubstr("own: holds "), HasSubstr(" and is no dataset; use an empty folder")));
    for (const fs::path& each : files) EXPECT_TRUE(!fs::exists(each) || read_text(each) == "mine") << each;
    EXPECT_EQ(run({PYRACAST, "join", "--output", (folder / "own").string(), (folder / "own").string()}).code, 64);
    EXPECT_FALSE(fs::exists(folder / "own/work"));
    EXPECT_TRUE(fs::remove(one)) << one;
  }
  for (const char* name : {"pyracast-12.log", "logs/slurm.txt", "work/earlier"}) mine(name);
  fs::remove(folder / "own/work/earlier");
  fs::rename(folder / "prompts.jsonl", folder / "own/prompts.jsonl");
  auto all = words(2, "own");
  *std::find(all.begin(), all.end(), (folder / "prompts.jsonl").string()) = (folder / "own/prompts.jsonl").string();
  const Ended ended = run(all);
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(read_text(folder / "own/logs/slurm.txt"), "mine");
}

TEST_F(NullModel, NamesALineOfTheRunsThatIsCutAndLeavesItOut) {
  for (int n = 0; n < 2; ++n) ASSERT_EQ(run(words(0, "out")).code, 0);
  const fs::path runs = folder / "out/work/attempts.jsonl";
  change(runs, [](std::string& text) { text.resize(text.size() - 20); });
  const Ended ended = run(words(0, "out"));
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr(runs.string() + ":2: is no run"));
  EXPECT_THAT(read_text(folder / "out/run.json"), AllOf(HasSubstr("\"attempt\": 0,"), HasSubstr("\"attempt\": 2,")));
  const Ended joined = run({PYRACAST, "join", "--output", (folder / "joined").string(), (folder / "out").string()});
  EXPECT_EQ(joined.code, 0) << joined.output;
  EXPECT_THAT(joined.output, HasSubstr(runs.string() + ":2: is no run"));
}

TEST_F(NullModel, IsComparedBesideAVideoThatCannotBeReadWhichIsNamed) {
  for (const char* output : {"a", "b"}) ASSERT_EQ(run(words(0, output)).code, 0);
  const auto compare = [&] {
    return run({PYRACAST, "compare", (folder / "a").string(), (folder / "b").string(), "--output", (folder / "page").string()});
  };
  EXPECT_EQ(compare().code, 0);
  const fs::path video = files_below(folder / "b/videos", ".mp4")[2];
  fs::resize_file(video, 100);
  const Ended ended = compare();
  EXPECT_EQ(ended.code, 4) << ended.output;
  EXPECT_THAT(ended.output, AllOf(HasSubstr("10 samples of"), HasSubstr(video.string())));
  for (const char* name : {"page/compare.html", "page/compare.json"}) EXPECT_THAT(read_text(folder / name), HasSubstr(video.string()));
}

class TwoJobs : public WithoutAModel {
 protected:
  /// A lock of this process on a rank's byte, as another job's rank holds it; -1: all bytes.
  int hold(int rank) const {
    const int descriptor = ::open((folder / "out" / "work" / "lock").c_str(), O_RDWR);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = std::max(rank, 0);
    lock.l_len = rank < 0 ? 0 : 1;
    EXPECT_EQ(::fcntl(descriptor, F_SETLK, &lock), 0);
    return descriptor;
  }
};

TEST_F(TwoJobs, TheSecondWaitsForARankThatLivesOnAndGoesOnWhenItEnds) {
  ASSERT_EQ(run(words(2, "out")).code, 0);
  fs::remove_all(folder / "out" / "videos");
  const int held = hold(1);
  Program second(words(2, "out"), folder / "log");
  std::this_thread::sleep_for(std::chrono::seconds(3));
  EXPECT_FALSE(fs::exists(folder / "out" / "videos" / "00")) << "it does not write while another may";
  EXPECT_EQ(content_of(folder / "out").size(), 11u) << "the lines of metadata.jsonl";
  ::close(held);
  const Ended ended = second.wait();
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(content_of(folder / "out").size(), 2 * 11u);
}

TEST_F(TwoJobs, TheSecondRefusesNamingHostAndProcessAfterHalfAMinute) {
  ASSERT_EQ(run(words(1, "out")).code, 0);
  const int held = hold(2);
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  const Ended ended = run(words(0, "out"));
  EXPECT_EQ(ended.code, 69) << ended.output;
  EXPECT_THAT(ended.output, AllOf(HasSubstr("is in use by process "), HasSubstr(std::string(" on ") + host),
                                  HasSubstr("whose rank 2 lives on as process " + std::to_string(::getpid()))));
  ::close(held);
}

TEST_F(TwoJobs, TheSecondStartedAtOnceAfterTheFirstsMpirunIsKilledCompletes) {
  ASSERT_EQ(run(words(1, "reference")).code, 0);
  Program first(words(3, "out", {"--shard-samples", "2"}), folder / "first.log");
  ASSERT_TRUE(eventually([&] { return !files_below(folder, ".mp4").empty() && fs::exists(folder / "out" / "journal"); }));
  first.signal(SIGKILL);   // mpirun alone: its ranks live on for a moment
  const Ended second = run(words(2, "out"));
  EXPECT_EQ(second.code, 0) << second.output;
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "reference"));
}

}  // namespace
}  // namespace pyracast::testing
