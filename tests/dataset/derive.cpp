#include "dataset/derive.hpp"

#include <fstream>
#include <set>

#include "dataset/clip_hash.hpp"
#include "dataset/index_file.hpp"
#include "dataset/seal.hpp"
#include "samples.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;
namespace fs = std::filesystem;

class Derive : public RunFolder {
 protected:
  std::vector<SampleRecord> in_order() const {
    std::vector<SampleRecord> all;
    for (const auto& path : sealed_shards(layout_.shards()))
      for (SampleRecord& row : read_shard(path)) all.push_back(std::move(row));
    return all;
  }
  /// Every column of the index against the shards, one after the other.
  void expect_index_is_the_concatenation() const {
    const hdf5::Handle file = hdf5::open_file(layout_.index());
    std::vector<SampleRecord> all = in_order();
    SampleRecord names;
    SampleRecord::fields([&]<class Member>(SampleGroup group, const char* name, Member&) {
      std::vector<Member> expected;
      for (SampleRecord& row : all)
        SampleRecord::fields([&]<class Other>(SampleGroup, const char* other, Other& member) {
          if constexpr (std::is_same_v<Other, Member>)
            if (std::string_view(other) == name) expected.push_back(member);
        }, row);
      EXPECT_EQ(hdf5::read_dataset<Member>(file, concat(group == SampleGroup::content ? "content/" : "provenance/", name)), expected) << name;
    }, names);
  }
  void put_shards(int count) const {
    for (int n = 0; n < count; ++n) put_shard({small_sample(3 * n), failed_sample(3 * n + 1), small_sample(3 * n + 2)});
  }
};

TEST_F(Derive, MetadataHasALineAFinishedVideo) {
  put_shard({small_sample(0), failed_sample(1)});
  derive(output_, {});
  std::ifstream in(layout_.metadata());
  std::string line, more;
  std::getline(in, line);
  EXPECT_FALSE(std::getline(in, more));
  const Json json = Json::parse(line);
  EXPECT_EQ(json.begin().key(), "file_name");
  EXPECT_EQ(json["file_name"], small_sample(0).video);
  EXPECT_EQ(json["id"], "sample-0");
  EXPECT_EQ(json["prompt"], small_sample(0).prompt);
  EXPECT_FALSE(json.contains("host"));
}

TEST_F(Derive, TheIndexIsTheConcatenationOfTheShards) {
  put_shards(3);
  write_atomically(output_ / "index.part-00000.h5", "of an earlier version");
  derive(output_, {});
  expect_index_is_the_concatenation();
  EXPECT_FALSE(fs::exists(output_ / "index.part-00000.h5"));
}

TEST_F(Derive, TheIndexIsReadWithoutTheShards) {
  put_shards(3);
  const std::vector<SampleRecord> all = in_order();
  derive(output_, {});
  fs::remove_all(layout_.shards());
  const hdf5::Handle index = hdf5::open_file(layout_.index());
  const auto ids = hdf5::read_dataset<std::string>(index, "content/id");
  const auto seeds = hdf5::read_dataset<uint64_t>(index, "content/seed");
  ASSERT_EQ(ids.size(), all.size());
  for (size_t row = 0; row < all.size(); ++row) EXPECT_EQ(std::pair(ids[row], seeds[row]), std::pair(all[row].id, all[row].seed));
}

TEST_F(Derive, TheIndexIsSealedAndListsTheShards) {
  put_shards(2);
  derive(output_, {{"fingerprint", run_fingerprint}});
  check_seal(layout_.index());
  EXPECT_EQ(sealed_fingerprint(layout_.index()), run_fingerprint);
  const IndexedShards listed = shards_in_index(layout_.index());
  EXPECT_THAT(listed.rows, ElementsAre(3, 3));
  const auto shards = sealed_shards(layout_.shards());
  for (size_t i = 0; i < shards.size(); ++i) {
    EXPECT_EQ(output_ / listed.names.at(i), shards[i]);
    EXPECT_EQ(listed.hashes.at(i), sha256_of_file(shards[i]));
  }
}

TEST_F(Derive, MadeAgainIsTheSameBytes) {
  put_shards(3);
  const auto bytes = [&] {
    return read_file(layout_.index()) + read_file(layout_.metadata()) + read_file(layout_.near_duplicates()) + read_file(layout_.run());
  };
  derive(output_, {{"version", 1}});
  const std::string before = bytes();
  derive(output_, {{"version", 1}});
  EXPECT_EQ(bytes(), before);
}

TEST_F(Derive, RunCountsSamplesAndShards) {
  put_shards(2);
  derive(output_, {{"ranks", 4}});
  const Json run = read_json(layout_.run());
  EXPECT_EQ(run["ranks"], 4);
  EXPECT_EQ(run["samples"].dump(), R"({"done":4,"failed":2,"shards":2,"flagged":4,"with_flag":{"black":0,"frozen":4,"saturated":0},)"
                                   R"("near_duplicates":0,"near_duplicate_groups":0})");
}

TEST_F(Derive, CountsFlagsAndNumbersTheVideosThatLookNearlyAlike) {
  SampleRecord black = small_sample(0), still = small_sample(1), alone = small_sample(2), failed = failed_sample(3);
  black.quality_flags = "black,frozen";
  still.quality_flags = "frozen";
  alone.quality_flags = failed.quality_flags = failed.perceptual_hash = "";
  black.perceptual_hash = still.perceptual_hash = to_text(ClipHash{});
  alone.perceptual_hash = to_text(hash_of(small_video()));
  put_shard({failed, black});
  put_shard({alone, still});
  const DatasetCounts counts = derive(output_, {});
  EXPECT_EQ(counts.flagged, 2);
  EXPECT_THAT(counts.with_flag, ElementsAre(1, 2, 0));
  EXPECT_EQ(counts.near_duplicates, 2);
  EXPECT_EQ(counts.near_duplicate_groups, 1);
  EXPECT_EQ(read_json(layout_.run())["samples"]["with_flag"]["frozen"], 2);
  std::ifstream in(layout_.metadata()), alike(layout_.near_duplicates());
  std::set<std::string> ids;
  for (std::string line; std::getline(alike, line);) {
    const Json json = Json::parse(line);
    EXPECT_EQ(json["group"], 1);
    EXPECT_EQ(json["file_name"], video_path(json["id"].get<std::string>(), 0));
    ids.insert(json["id"]);
  }
  EXPECT_THAT(ids, ElementsAre("sample-0", "sample-1"));
  for (std::string line; std::getline(in, line);) {
    const Json json = Json::parse(line);
    EXPECT_EQ(json["quality_flags"], json["id"] == "sample-0" ? "black,frozen" : json["id"] == "sample-1" ? "frozen" : "");
  }
}

TEST_F(Derive, OfNoShardHasNoIndex) {
  const auto path = put_shard({small_sample(0)});
  derive(output_, {});
  fs::remove(path);
  derive(output_, {});
  EXPECT_FALSE(fs::exists(layout_.index()));
  EXPECT_EQ(read_file(layout_.metadata()), "");
}

TEST_F(Derive, NamesAShardThatCannotBeRead) {
  const auto path = put_shard({small_sample(0)});
  cut(path, 1000);
  EXPECT_THAT([&] { derive(output_, {}); }, ThrowsMessage<Error>(HasSubstr(path.string() + ": is not a sound shard")));
}

}  // namespace
}  // namespace pyracast
