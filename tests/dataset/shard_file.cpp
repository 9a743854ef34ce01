#include "dataset/shard_file.hpp"

#include <fstream>

#include "samples.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class Shard : public RunFolder {};

TEST_F(Shard, GivesBackEveryFieldAndArrayOfWhatWasAppended) {
  SampleRecord strange = full_sample(1);
  strange.prompt = "\"quoted\"\\\n\t\r\x01 \xf4\x8f\xbf\xbf e\u0301 \u202e";
  strange.encoded_prompt = "";
  SampleRecord huge = full_sample(3);
  huge.prompt = std::string(100'000, 'x');
  huge.latents = {};
  huge.seed = UINT64_MAX;
  const std::vector<SampleRecord> written{full_sample(0), strange, failed_sample(2), huge, full_sample(4)};
  const ShardReader shard(put_shard(written));
  ASSERT_EQ(shard.size(), written.size());
  for (size_t i = 0; i < written.size(); ++i) EXPECT_THAT(shard.whole(i), IsSample(written[i]));
}

TEST_F(Shard, KeepsClipsOfDifferentSizesApart) {
  SampleRecord wide = full_sample(1);
  wide.width = 64;
  wide.height = 8;
  std::swap(wide.pixels->width, wide.pixels->height);
  wide.pixels->width = 64, wide.pixels->height = 8;
  const std::vector<SampleRecord> written{full_sample(0), wide, full_sample(2)};
  const ShardReader shard(put_shard(written));
  for (size_t i = 0; i < written.size(); ++i) EXPECT_THAT(shard.whole(i), IsSample(written[i]));
}

TEST_F(Shard, OfSamplesWithoutArraysHasNone) {
  const ShardReader shard(put_shard({small_sample(0), failed_sample(1)}));
  EXPECT_THAT(shard.whole(0), IsSample(small_sample(0)));
  EXPECT_FALSE(hdf5::exists(hdf5::open_file(sealed_shards(layout_.shards())[0]), "content/latents"));
}

TEST_F(Shard, ChecksumsEveryDataset) {
  const hdf5::Handle file = hdf5::open_file(put_shard({full_sample(0), full_sample(1)}));
  int datasets = 0;
  const auto each = [](hid_t object, const char* name, const H5O_info_t* info, void* count) -> herr_t {
    if (info->type != H5O_TYPE_DATASET) return 0;
    ++*static_cast<int*>(count);
    const hdf5::Handle dataset(H5Dopen2(object, name, H5P_DEFAULT), H5Dclose, name);
    const hdf5::Handle list(H5Dget_create_plist(dataset), H5Pclose, name), type(H5Dget_type(dataset), H5Tclose, name);
    unsigned flags = 0;
    size_t values = 0;
    if (H5Tget_class(type) == H5T_STRING) EXPECT_GT(H5Aexists(dataset, "sha256"), 0) << name;
    else EXPECT_GE(H5Pget_filter_by_id2(list, H5Z_FILTER_FLETCHER32, &flags, &values, nullptr, 0, nullptr, nullptr), 0) << name;
    return 0;
  };
  H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_NATIVE, each, &datasets, H5O_INFO_BASIC);
  EXPECT_EQ(datasets, 40 + 5 + 3 + 3 + 3 + 2);   // columns, steps (seconds, counts, names of both, offsets), latents, of each step, embedding, frames
}

/// The content group as values: columns and arrays of all rows.
std::vector<std::vector<uint8_t>> content_of(const std::filesystem::path& path) {
  const ShardReader shard(path);
  std::vector<std::vector<uint8_t>> content;
  for (size_t i = 0; i < shard.size(); ++i) {
    SampleRecord row = shard.whole(i);
    SampleRecord::fields([]<class Member>(SampleGroup group, const char*, Member& member) {
      if (group == SampleGroup::provenance) member = Member{};
    }, row);
    row.step_seconds.clear();
    row.step_counts.clear();
    content.push_back(to_bytes(row));
  }
  return content;
}

TEST_F(Shard, HasTheSameContentWheneverAndWhereverItWasMade) {
  std::vector<SampleRecord> here{full_sample(0), failed_sample(1), full_sample(2)}, there = here;
  for (SampleRecord& row : there) {
    row.host = "another";
    row.started += 1000;
    row.rank = 17;
    row.step_seconds.resize(1);
    row.step_counts.resize(1);
  }
  const auto first = put_shard(here), copy = output_ / "first.h5";
  std::filesystem::rename(first, copy);
  const auto second = put_shard(there);
  EXPECT_EQ(first, second);   // named after its samples
  EXPECT_EQ(content_of(copy), content_of(second));
  EXPECT_NE(read_file(copy), read_file(second));
  EXPECT_EQ(std::system(concat("h5diff ", copy.string(), ' ', second.string(), " /content /content").c_str()), 0);
  EXPECT_NE(std::system(concat("h5diff -q ", copy.string(), ' ', second.string(), " /provenance /provenance").c_str()), 0);
}

TEST_F(Shard, OfEqualRecordsIsTheSameBytes) {
  const auto path = put_shard({full_sample(0), full_sample(1)});
  const std::string before = read_file(path);
  EXPECT_EQ(read_file(put_shard({full_sample(0), full_sample(1)})), before);
}

TEST_F(Shard, CutAnywhereIsRefusedByName) {
  const auto path = put_shard({full_sample(0), full_sample(1)});
  const size_t size = std::filesystem::file_size(path);
  for (const size_t left : {size - 1, size / 2, size / 3, size_t(100), size_t(1), size_t(0)}) {
    cut(path, left);
    EXPECT_THAT([&] { read_shard(path); }, ThrowsMessage<Error>(HasSubstr(path.string() + ": is not a sound shard"))) << left;
  }
}

TEST_F(Shard, NoticesAFlippedBitInATextAndInAnArrayEvenWithoutItsSeal) {
  SampleRecord sample = full_sample(0);
  sample.prompt = "findthisprompt";
  sample.latents.values.assign(sample.latents.values.size(), 1234.5678f);
  const auto path = put_shard({sample});
  const std::string whole = read_file(path);
  flip_bit(path, whole.find("findthisprompt") + 3);
  EXPECT_THAT([&] { read_shard(path); }, ThrowsMessage<Error>(HasSubstr(path.string() + ": is not a sound shard: it does not fit its checksum")));
  EXPECT_THAT([&] { read_shard(path, ShardCheck::columns); }, ThrowsMessage<Error>(HasSubstr("content/prompt does not fit its checksum")));
  write_atomically(path, whole);
  const float value = 1234.5678f;
  flip_bit(path, whole.find(std::string(reinterpret_cast<const char*>(&value), 4)));
  EXPECT_THAT([&] { ShardReader(path, ShardCheck::columns).whole(0); }, ThrowsMessage<Error>(testing::AllOf(
      HasSubstr(path.string() + ": row 0 cannot be read: reading content/latents"), HasSubstr("checksum"))));
}

TEST_F(Shard, WithAFlippedBitAnywhereIsRefused) {
  const auto path = put_shard({full_sample(0), failed_sample(1)});
  const std::string whole = read_file(path);
  for (size_t byte = 0; byte < whole.size(); byte += 1 + byte % 29) {   // some 15 apart, at changing places
    std::string damaged = whole;
    damaged[byte] = char(damaged[byte] ^ (1 << (byte / 29 % 8)));
    std::ofstream(path, std::ios::binary) << damaged;
    EXPECT_THAT([&] { ShardReader reader(path); }, ThrowsMessage<Error>(HasSubstr(path.string() + ": is not a sound shard"))) << byte;
  }
}

TEST_F(Shard, OfAnotherVersionIsRefused) {
  const auto path = put_shard({small_sample(0)});
  {
    const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "opening");
    H5Adelete(file, "format_version");
    hdf5::write_attribute(file, "format_version", int64_t(1000));
  }
  EXPECT_THAT([&] { read_shard(path, ShardCheck::columns); },
              ThrowsMessage<Error>(HasSubstr(concat("version 1000, this program reads version ", shard_format_version))));
}

}  // namespace
}  // namespace pyracast
