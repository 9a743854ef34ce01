#include "dataset/export.hpp"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "dataset/tar_writer.hpp"
#include "whole_dataset.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;
namespace fs = std::filesystem;

class ExportTest : public WholeDataset {
 protected:
  const TemporaryFolder target_;
  const fs::path to_ = target_.path() / "export";

  ExportOptions options_for(ExportFormat format, uint64_t tar_bytes = 1 << 30) const { return {output_, to_, format, tar_bytes}; }
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(to_))
      if (entry.is_regular_file()) all[entry.path().lexically_relative(to_).string()] = read_file(entry.path());
    return all;
  }
  /// Unpacked by the tar of the system.
  void unpack() const {
    for (const auto& entry : fs::directory_iterator(to_)) {
      if (entry.path().extension() != ".tar") continue;
      ASSERT_EQ(std::system(concat("tar -xf '", entry.path().string(), "' -C '", target_.path().string(), "'").c_str()), 0);
    }
  }
};

TEST_F(ExportTest, TarsHoldEachFinishedSampleAsVideoJsonAndPrompt) {
  const Exported result = export_dataset(options_for(ExportFormat::webdataset));
  EXPECT_EQ(result.samples, 6u);
  EXPECT_EQ(result.files, 1u);
  unpack();
  for (const auto& [id, sample] : {std::pair{"a", 0}, {"a", 1}, {"a", 2}, {"b", 0}, {"d", 0}, {"e", 0}}) {
    const fs::path key = (target_.path() / fs::path(video_path(id, sample)).lexically_relative("videos")).replace_extension();
    EXPECT_EQ(read_file(key.string() + ".mp4"), read_file(video(id, sample)));
    EXPECT_EQ(read_file(key.string() + ".txt"), prompt_of(id));
    const Json json = read_json(key.string() + ".json");
    EXPECT_EQ(json.at("id"), id);
    EXPECT_EQ(json.at("sample"), sample);
    EXPECT_FALSE(json.contains("file_name"));
  }
}

TEST_F(ExportTest, TarsAreTheSameBytesHoweverTheShardsWereDividedAndNoLargerThanWished) {
  export_dataset(options_for(ExportFormat::webdataset, 12000));
  const auto first = files();
  EXPECT_GT(first.size(), 3u);
  for (const auto& [name, content] : first) EXPECT_LE(content.size(), 12000u + 2 * 512u) << name;
  fs::remove_all(to_);
  for (const auto& path : sealed_shards(layout_.shards())) fs::remove(path);
  make({{"e", 0}, {"a", 2}, {"c", 0}});
  make({{"d", 0}, {"a", 0}, {"b", 0}});
  make({{"a", 1}});
  export_dataset(options_for(ExportFormat::webdataset, 12000));
  EXPECT_EQ(files(), first);
}

TEST_F(ExportTest, GoesOnAfterAKill) {
  for (const auto format : {ExportFormat::webdataset, ExportFormat::videofolder}) {
    fs::remove_all(to_);
    const Exported all = export_dataset(options_for(format, 12000));
    const auto expected = files();
    EXPECT_EQ(export_dataset(options_for(format, 12000)).written, 0u) << "nothing is left to be done";
    const std::string lost = format == ExportFormat::webdataset ? "videos-000001.tar" : video_path("a", 1);
    fs::remove(to_ / lost);
    write_atomically(to_ / (lost + ".tmp"), "half");
    Json begun = read_json(to_ / "export.json");
    begun["complete"] = false;
    write_atomically(to_ / "export.json", begun.dump());
    const Exported again = export_dataset(options_for(format, 12000));
    EXPECT_EQ(again.written, 1u);
    EXPECT_EQ(again.bytes, all.bytes);
    fs::remove(to_ / (lost + ".tmp"));
    EXPECT_EQ(files(), expected);
  }
}

TEST_F(ExportTest, OfAnUnfinishedDatasetSaysSoAndTakesInWhatIsMadeLater) {
  for (const auto format : {ExportFormat::webdataset, ExportFormat::videofolder}) {
    fs::remove_all(to_);
    EXPECT_TRUE(export_dataset(options_for(format, 12000)).complete());
    const auto expected = files();
    fs::remove_all(to_);
    fs::remove(shard_of("d"));
    for (const char* again : {"", " again"}) {
      const Exported some = export_dataset(options_for(format, 12000));
      EXPECT_EQ(some.left, 3u) << "d, e and c" << again;
      EXPECT_EQ(some.samples, 4u);
      EXPECT_FALSE(read_json(to_ / "export.json").at("complete")) << again;
    }
    if (format == ExportFormat::videofolder) {
      write_atomically(to_ / video_path("a", 1), "of other settings");
      write_atomically(to_ / "videos" / "gone.mp4", "of a sample that is no more");
    }
    make({{"d", 0}, {"e", 0}, {"c", 0}});
    const Exported all = export_dataset(options_for(format, 12000));
    EXPECT_TRUE(all.complete());
    EXPECT_EQ(all.before, 4u);
    EXPECT_EQ(files(), expected);
    EXPECT_EQ(export_dataset(options_for(format, 12000)).written, 0u);
  }
}

TEST_F(ExportTest, RefusesWhatIsNoDataset) {
  ExportOptions options = options_for(ExportFormat::webdataset);
  options.output = target_.path() / "nope";
  EXPECT_THAT([&] { export_dataset(options); }, ThrowsMessage<Error>(HasSubstr("nope: is no folder; expected the --output of a generate")));
  EXPECT_THAT([&] { export_dataset({.output = output_, .to = output_ / "videos/tars"}); },
      ThrowsMessage<Error>(HasSubstr("among the dataset's own")));
  options.output = target_.path();
  EXPECT_THAT([&] { export_dataset(options); }, ThrowsMessage<Error>(HasSubstr("holds no dataset (no shards/)")));
  EXPECT_FALSE(fs::exists(to_));
}

TEST_F(ExportTest, AVideofolderHoldsTheVideosAndTheirLines) {
  export_dataset(options_for(ExportFormat::videofolder));
  EXPECT_EQ(read_file(to_ / video_path("a", 1)), read_file(video("a", 1)));
  std::vector<std::string> exported, lines;
  for (auto [text, out] : {std::pair{read_file(to_ / "metadata.jsonl"), &exported}, {read_file(layout_.metadata()), &lines}}) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out->push_back(line);
    std::sort(out->begin(), out->end());
  }
  EXPECT_EQ(exported, lines);
}

TEST_F(ExportTest, TakesMemoryThatDoesNotGrowWithTheSamplesTexts) {
  // Each shard holds one sample, of a prompt of 0.2 MB, which stands twice in its line of metadata.
  const auto most_memory = [&](int shards) {
    for (int n = 0; n < shards; ++n) {
      SampleRecord row = record("b", 0);
      row.id = concat("long-", n), row.prompt = row.encoded_prompt = std::string(200'000, char('a' + n % 26));
      row.video = video_path(row.id, 0), row.video_sha256 = sha256(video_bytes);
      put_shard({row});
    }
    fs::remove_all(to_);
    const pid_t child = ::fork();
    if (child == 0) {
      export_dataset(options_for(ExportFormat::videofolder));
      ::_exit(0);
    }
    struct rusage use {};
    int status = 0;
    ::wait4(child, &status, 0, &use);
    EXPECT_EQ(status, 0);
    return use.ru_maxrss << 10;
  };
  const auto of_few = most_memory(20);
  EXPECT_LT(most_memory(120), of_few + 12'000'000) << "whose lines are 40 MB more";
}

TEST_F(ExportTest, HoldsFewBytesASample) {
  constexpr int samples_a_shard = 100;
  const auto heap_with = [&](int shards) {
    std::optional<ShardFile> shard;
    for (int n = 0; n < shards * samples_a_shard; ++n) {
      if (n % samples_a_shard == 0) shard.emplace(layout_.shards() / ".test.tmp", run_fingerprint, "{}");
      SampleRecord row = record("b", 0);
      row.id = concat("sample-", n, '-', std::string(80, 'x')), row.pixels.reset();
      SampleRecord::arrays([](const char*, size_t, auto& array) { array = {}; }, row);
      row.video = video_path(row.id, 0), row.video_sha256 = sha256_of_file(video("b"));
      fs::create_directories((output_ / row.video).parent_path());
      if (!fs::exists(output_ / row.video)) fs::create_hard_link(video("b"), output_ / row.video);
      shard->append(row);
      if (n % samples_a_shard == samples_a_shard - 1) shard->seal(layout_.shards());
    }
    fs::remove_all(to_);
    size_t heap = 0;
    export_dataset(options_for(ExportFormat::webdataset), [&](const char* step, size_t, size_t) {
      const struct mallinfo2 now = mallinfo2();
      if (step == std::string("samples exported")) heap = now.uordblks + now.hblkhd;
    });
    return heap;
  };
  const size_t of_few = heap_with(1);
  EXPECT_LT(heap_with(50), of_few + 50 * samples_a_shard * 60) << "a path takes 110 bytes";
}

TEST_F(ExportTest, RefusesAFolderThatHoldsSomethingElse) {
  fs::create_directories(to_);
  write_atomically(to_ / "mine.txt", "x");
  EXPECT_THAT([&] { export_dataset(options_for(ExportFormat::videofolder)); }, ThrowsMessage<Error>(HasSubstr("mine.txt")));
  fs::remove(to_ / "mine.txt");
  export_dataset(options_for(ExportFormat::videofolder));
  EXPECT_THAT([&] { export_dataset(options_for(ExportFormat::webdataset)); },
              ThrowsMessage<Error>(HasSubstr("format was \"videofolder\"")));
}

TEST_F(ExportTest, NeverExportsAVideoThatIsNotWhatItWas) {
  flip_bit(video("b"), 200);
  try {
    export_dataset(options_for(ExportFormat::webdataset));
    FAIL() << "a damaged video was exported";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ExitCode::damaged);
    EXPECT_THAT(error.what(), HasSubstr(video_path("b", 0)));
  }
  EXPECT_FALSE(fs::exists(to_ / "videos-000000.tar"));
}

TEST(TarWriter, KeepsLongNames) {
  const TemporaryFolder folder;
  const std::string name = "ab/cd/" + std::string(140, 'x') + ".json";
  TarWriter tar(folder.path() / "a.tar");
  tar.add(name, "content");
  tar.close();
  ASSERT_EQ(std::system(concat("tar -xf '", folder.path().string(), "/a.tar' -C '", folder.path().string(), "'").c_str()), 0);
  EXPECT_EQ(read_file(folder.path() / name), "content");
}

}  // namespace
}  // namespace pyracast
