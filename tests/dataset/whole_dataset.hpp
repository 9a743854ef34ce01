#pragma once
// A dataset as a run leaves it: manifest, videos that decode, two shards, index.
#include <algorithm>

#include "dataset/manifest.hpp"
#include "samples.hpp"

namespace pyracast {

class WholeDataset : public RunFolder {
 protected:
  /// Samples 0, 1 and 2 of "a", sample 0 of "b" to "e"; "c" has failed.
  WholeDataset() {
    write_manifest({"a", "b", "c", "d", "e"});
    make({{"a", 0}, {"a", 1}, {"a", 2}, {"b", 0}});
    make({{"d", 0}, {"e", 0}, {"c", 0}});
    derive(output_, {});
  }

  static std::string prompt_of(const std::string& id) { return "the prompt of " + id; }

  void write_manifest(const std::vector<std::string>& ids) const {
    std::string rows;
    for (const std::string& id : ids)
      rows += Json{{"id", id}, {"prompt", prompt_of(id)}, {"samples", id == "a" ? 3 : 1}}.dump() + "\n";
    Manifest::build(bytes_of(rows), "prompts.jsonl", output_);
  }

  SampleRecord record(const std::string& id, int64_t sample) const {
    SampleRecord record = full_sample(int(sample));
    record.id = id, record.sample = sample, record.prompt = prompt_of(id);
    record.attempt = 0, record.team = id < "d" ? 0 : 1, record.rank = record.team;
    record.host = id < "d" ? "node-0" : "node-1";
    record.started = 1000 + 10 * double(sample), record.ended = record.started + (id < "d" ? 2 : 8);
    return record;
  }

  /// One shard of these samples with their videos.
  void make(const std::vector<std::pair<std::string, int64_t>>& samples) const {
    ShardWriterOptions writing = options();
    writing.keep_pixels = true;
    ShardWriter writer(writing);
    for (const auto& [id, sample] : samples) {
      SampleRecord made = record(id, sample);
      const bool failed = id == "c";
      if (failed) {
        made.status = int64_t(SampleStatus::failed);
        made.reason = "the latents are not finite after step 3 of 4";
        made.video = made.video_sha256 = "";
      }
      made.pixels.reset();
      writer.submit(std::move(made), failed ? std::nullopt : std::optional(small_video(int(sample) + id[0])));
    }
    writer.close();
  }

  std::filesystem::path video(const std::string& id, int sample = 0) const { return output_ / video_path(id, sample); }
  /// The shard that holds sample 0 of `id`.
  std::filesystem::path shard_of(const std::string& id) const {
    for (const auto& path : sealed_shards(layout_.shards()))
      for (const auto& row : read_shard(path))
        if (row.id == id) return path;
    return {};
  }
};

}  // namespace pyracast
