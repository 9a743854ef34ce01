#pragma once
// Samples for the tests of journals and shards, and a folder that holds a run.
#include <gmock/gmock.h>

#include "base/file.hpp"
#include "dataset/derive.hpp"
#include "dataset/journal.hpp"
#include "dataset/layout.hpp"
#include "dataset/shard_reader.hpp"
#include "dataset/shard_writer.hpp"
#include "tests/base/temporary_folder.hpp"

namespace pyracast {

inline const std::string run_fingerprint(64, 'a'), other_fingerprint(64, 'b');

inline Video small_video(int n = 0) {
  Video video{3, 16, 32, 8, {}};
  for (size_t i = 0; i < 3 * video.frame_bytes(); ++i) video.rgb.push_back(uint8_t(i * 7 + size_t(n)));
  return video;
}

/// What stands in the tests' videos.
inline constexpr std::string_view video_bytes = "a video";

/// A finished sample in which no two fields are alike; without arrays.
inline SampleRecord small_sample(int n) {
  SampleRecord record;
  int64_t next = 1000 * (n + 1);
  SampleRecord::fields([&]<class Member>(SampleGroup, const char* name, Member& member) {
    if constexpr (std::is_same_v<Member, std::string>) member = concat(name, " of ", n, " Größe 🎬");
    else member = Member(++next);
  }, record);
  record.id = concat("sample-", n);
  record.sample = 0;
  record.status = int64_t(SampleStatus::done);
  record.reason = "";
  record.quality_flags = "frozen";
  record.audit = int64_t(SampleAudit::none), record.audit_seconds = 0;
  record.video = video_path(record.id, 0);
  record.video_sha256 = sha256(video_bytes);
  record.frames = 3, record.height = 16, record.width = 32, record.fps = 8;
  return record;
}

/// The same with seconds, latents, an embedding and pixels.
inline SampleRecord full_sample(int n) {
  SampleRecord record = small_sample(n);
  for (int step = 0; step < 4 + n; ++step) record.step_seconds.push_back({0.5f, float(step), 2, 3, 4, float(n)});
  for (int step = 0; step < 4 + n; ++step) record.step_counts.push_back({28, step, 0, 3, 4, 5, 56, int64_t(1) << 40, n, 9});
  record.latents.shape = {2, 1, 3, 4 + n};
  for (int i = 0; i < 6 * (4 + n); ++i) record.latents.values.push_back(float(i) / 3 - float(n));
  record.step_latents.shape = {2, 2, 1, 3, 1 + n};
  for (int i = 0; i < 12 * (1 + n); ++i) record.step_latents.values.push_back(float(i) / 7 + float(n));
  record.text_embedding.shape = {5, 3};
  for (int i = 0; i < 15; ++i) record.text_embedding.values.push_back(uint16_t(60000 + i));
  record.pixels = small_video(n);
  return record;
}

inline SampleRecord failed_sample(int n) {
  SampleRecord record = small_sample(n);
  record.status = int64_t(SampleStatus::failed);
  record.reason = "latents are not finite after step 3";
  record.video = record.video_sha256 = "";
  return record;
}

/// Everything of a record, arrays and all, is in its bytes.
MATCHER_P(IsSample, expected, "") {
  *result_listener << "which is " << arg.id;
  return to_bytes(arg) == to_bytes(expected);
}

/// An output folder in which videos can be said to exist, and what recover() says of it.
class RunFolder : public testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::filesystem::path output_ = folder_.path();
  const OutputLayout layout_{output_};
  std::vector<std::string> finished_, messages_;
  std::map<std::string, std::string> configurations_{{run_fingerprint, "{}"}};   // of the fingerprints that the folder may hold

  RunFolder() {
    for (const auto& part : {layout_.shards(), layout_.journal(), layout_.work()}) std::filesystem::create_directories(part);
  }
  void put_video(const SampleRecord& record) const {
    std::filesystem::create_directories((output_ / record.video).parent_path());
    write_atomically(output_ / record.video, video_bytes);
  }
  std::filesystem::path put_shard(const std::vector<SampleRecord>& records, const std::string& fingerprint = run_fingerprint) const {
    ShardFile shard(layout_.shards() / ".test.tmp", fingerprint, "{}");
    for (const auto& record : records) {
      shard.append(record);
      if (!record.video.empty()) put_video(record);
    }
    return shard.seal(layout_.shards());
  }
  std::filesystem::path put_journal(const std::string& name, const std::vector<SampleRecord>& records,
                                    const std::string& fingerprint = run_fingerprint) const {
    JournalWriter journal(layout_.journal() / name, fingerprint);
    for (const auto& record : records) {
      if (!record.video.empty()) put_video(record);
      journal.append(record);
    }
    return layout_.journal() / name;
  }
  void recover(RecoverReads reads = RecoverReads::what_changed) {
    finished_.clear();
    messages_.clear();
    pyracast::recover(output_, configurations_, [&](const FinishedSample& sample) {
      finished_.push_back(sample.row.id + (sample.failed() ? " failed" : ""));
    }, [&](const std::string& message) { messages_.push_back(message); }, reads);
  }
  /// Ids in the sealed shards, sorted.
  std::vector<std::string> in_shards() const {
    std::vector<std::string> ids;
    for (const auto& path : sealed_shards(layout_.shards()))
      for (const auto& row : read_shard(path)) ids.push_back(row.id);
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  ShardWriterOptions options() const { return {.output = output_, .fingerprint = run_fingerprint, .configuration = "{}"}; }
};

/// Changes one bit of a file, or cuts it.
inline void flip_bit(const std::filesystem::path& path, size_t byte, int bit = 0) {
  std::string content = read_file(path);
  content.at(byte) = char(content[byte] ^ (1 << bit));
  write_atomically(path, content);
}
inline void cut(const std::filesystem::path& path, size_t size) { write_atomically(path, read_file(path).substr(0, size)); }

}  // namespace pyracast
