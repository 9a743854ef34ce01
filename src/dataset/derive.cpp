#include "dataset/derive.hpp"

#include <algorithm>
#include <optional>

#include "base/file.hpp"
#include "dataset/index_file.hpp"
#include "dataset/layout.hpp"
#include "dataset/manifest_files.hpp"
#include "dataset/near_duplicates.hpp"
#include "dataset/shard_file.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;
/// Whether the sample is held against others; then its hash.
std::optional<ClipHash> looks_of(const SampleRecord& sample) {
  return sample.status == int64_t(SampleStatus::done) ? clip_hash_from(sample.perceptual_hash) : std::nullopt;
}

void count(const SampleRecord& sample, DatasetCounts& counts) {
  const bool done = sample.status == int64_t(SampleStatus::done);
  ++(done ? counts.done : counts.failed);
  counts.flagged += done && !sample.quality_flags.empty();
  for (size_t i = 0; i < quality_flags.size(); ++i) counts.with_flag[i] += done && has_flag(sample.quality_flags, quality_flags[i]);
}

Json to_json(const DatasetCounts& counts) {
  Json flags = Json::object();
  for (size_t i = 0; i < quality_flags.size(); ++i) flags[quality_flags[i]] = counts.with_flag[i];
  return {{"done", counts.done}, {"failed", counts.failed}, {"shards", counts.shards}, {"flagged", counts.flagged},
          {"with_flag", flags}, {"near_duplicates", counts.near_duplicates}, {"near_duplicate_groups", counts.near_duplicate_groups}};
}

const std::string no_fingerprint(64, '0');

fs::path temporary(const fs::path& path) { return path.string() + ".tmp"; }

/// near_duplicates.jsonl: of the shards that hold such videos, which are read once more. `hashes` are looks_of() all rows of all
/// shards that have them, `first_of_shard` where each shard's begin.
void write_near_duplicates(const OutputLayout& layout, const std::vector<std::string>& shards, std::vector<ClipHash> hashes,
                           const std::vector<size_t>& first_of_shard, DatasetCounts& counts, const TellStep& tell) {
  const std::vector<uint32_t> groups = near_duplicate_groups(hashes, tell);
  hashes = {};
  GrowingFile out(temporary(layout.near_duplicates()));
  for (size_t shard = 0; shard < shards.size(); ++shard) {
    if (tell) tell("shards read for near_duplicates.jsonl", shard + 1, shards.size());
    size_t at = first_of_shard[shard];
    const size_t end = shard + 1 < shards.size() ? first_of_shard[shard + 1] : groups.size();
    if (std::all_of(groups.begin() + long(at), groups.begin() + long(end), [](uint32_t group) { return group == 0; })) continue;
    for (const SampleRecord& sample : read_shard(layout.root / shards[shard])) {
      const uint32_t group = looks_of(sample) ? groups.at(at++) : 0;
      if (group == 0) continue;
      const Json line{{"group", group}, {"file_name", sample.video}, {"id", sample.id}, {"sample", sample.sample}};
      out.append(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
      ++counts.near_duplicates;
      counts.near_duplicate_groups = std::max(counts.near_duplicate_groups, int64_t(group));
    }
  }
  out.close();
  publish(out.path(), layout.near_duplicates());
}

}  // namespace

void remove_index(const fs::path& output) {
  for (const auto& entry : fs::directory_iterator(output)) {
    const std::string name = entry.path().filename();
    if (name == "index.h5" || (name.starts_with("index.part-") && name.ends_with(".h5"))) fs::remove(entry.path());
  }
}

std::string metadata_line(const SampleRecord& sample) {
  Json line{{"file_name", sample.video}};
  SampleRecord::fields([&](SampleGroup group, const char* name, const auto& member) {
    const std::string_view column = name;
    if (group == SampleGroup::content && column != "video" && column != "status" && column != "reason") line[name] = member;
  }, sample);
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

DatasetCounts derive(const fs::path& output, Json run, const TellStep& tell) {
  const OutputLayout layout{output};
  DatasetCounts counts;
  std::vector<ClipHash> hashes_of_clips;
  std::vector<size_t> first_of_shard;
  GrowingFile metadata(temporary(layout.metadata()));
  IndexFile index(temporary(layout.index()));
  const auto shards = sealed_shards(layout.shards());
  for (size_t shard = 0; shard < shards.size(); ++shard) {
    if (tell) tell("shards read for index.h5 and metadata.jsonl", shard + 1, shards.size());
    const fs::path& path = shards[shard];
    const std::string hash = check_shard_seal(path);
    const std::vector<SampleRecord> samples = read_shard(path, ShardCheck::columns);
    if (samples.empty()) continue;
    index.append(path.lexically_relative(output).string(), hash, samples);
    first_of_shard.push_back(hashes_of_clips.size());
    for (const SampleRecord& sample : samples) {
      count(sample, counts);
      if (const auto looks = looks_of(sample)) hashes_of_clips.push_back(*looks);
      if (sample.status == int64_t(SampleStatus::done)) metadata.append(metadata_line(sample));
    }
  }
  metadata.close();
  publish(metadata.path(), layout.metadata());
  write_near_duplicates(layout, index.shards(), std::move(hashes_of_clips), first_of_shard, counts, tell);

  remove_index(output);   // that of an earlier version had parts
  counts.shards = int64_t(index.shards().size());
  if (counts.shards > 0) index.publish_as(layout.index(), run.is_object() ? run.value("fingerprint", no_fingerprint) : no_fingerprint);
  else fs::remove(temporary(layout.index()));
  run["samples"] = to_json(counts);
  write_atomically(layout.run(), run.dump(1) + "\n");
  return counts;
}

}  // namespace pyracast
