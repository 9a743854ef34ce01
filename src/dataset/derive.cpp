#include "dataset/derive.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>

#include "base/file.hpp"
#include "dataset/layout.hpp"
#include "dataset/manifest_files.hpp"
#include "dataset/near_duplicates.hpp"
#include "dataset/shard_file.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;
using hdf5::Handle;

struct Source {
  std::string file;   // relative to the output folder
  hsize_t rows;
};

/// One virtual dataset over the same column of all sources.
void write_virtual_column(hid_t group, const std::string& path, const std::string& name, hid_t type, const void* fill,
                          const std::vector<Source>& sources, hsize_t total) {
  const Handle list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "creating a property list");
  hdf5::check(H5Pset_obj_track_times(list, false), "switching times off");
  if (fill) hdf5::check(H5Pset_fill_value(list, type, fill), "setting the fill value of " + path);
  const Handle space(H5Screate_simple(1, &total, nullptr), H5Sclose, "describing " + path);
  hsize_t at = 0;
  for (const Source& source : sources) {
    const Handle selected(H5Scopy(space), H5Sclose, "describing " + path);
    hdf5::check(H5Sselect_hyperslab(selected, H5S_SELECT_SET, &at, nullptr, &source.rows, nullptr), "selecting in " + path);
    const Handle source_space(H5Screate_simple(1, &source.rows, nullptr), H5Sclose, "describing " + path);
    hdf5::check(H5Pset_virtual(list, selected, source.file.c_str(), path.c_str(), source_space), "mapping " + path);
    at += source.rows;
  }
  Handle(H5Dcreate2(group, name.c_str(), type, space, H5P_DEFAULT, list, H5P_DEFAULT), H5Dclose, "creating " + path).close("writing " + path);
}

/// A missing source shows as -1 (numbers) or an empty text.
void write_virtual_columns(hid_t file, const std::vector<Source>& sources) {
  hsize_t total = 0;
  for (const Source& source : sources) total += source.rows;
  Handle content = hdf5::create_group(file, "content"), provenance = hdf5::create_group(file, "provenance");
  const Handle text = hdf5::string_type();
  const SampleRecord names;
  SampleRecord::fields([&]<class Member>(SampleGroup group, const char* name, const Member&) {
    const bool is_content = group == SampleGroup::content;
    const std::string path = concat(is_content ? "/content/" : "/provenance/", name);
    if constexpr (std::is_same_v<Member, std::string>) {
      write_virtual_column(is_content ? content : provenance, path, name, text, nullptr, sources, total);
    } else {
      const Member fill = Member(-1);
      write_virtual_column(is_content ? content : provenance, path, name, hdf5::type_of<Member>(), &fill, sources, total);
    }
  }, names);
  content.close("writing /content");
  provenance.close("writing /provenance");
}

void write_index(const fs::path& output, const std::string& name, const std::vector<Source>& sources,
                 const std::function<void(hid_t)>& add = {}) try {
  const fs::path path = output / name, temporary = path.string() + ".tmp";
  Handle file = hdf5::create_file(temporary);
  hdf5::write_attribute(file, "format", "pyracast index");
  hdf5::write_attribute(file, "format_version", shard_format_version);
  write_virtual_columns(file, sources);
  if (add) add(file);
  file.close("closing");
  publish(temporary, path);
} catch (const Error& error) {
  throw Error(concat((output / name).string(), ": the index cannot be written: ", error.what()), ExitCode::environment);
}

/// Sources as they are, or indices of `most_sources` of them each.
std::vector<Source> grouped(const fs::path& output, const std::vector<Source>& sources, size_t most_sources) {
  if (sources.size() <= most_sources) return sources;
  std::vector<Source> groups;
  for (size_t first = 0; first < sources.size(); first += most_sources) {
    const std::vector<Source> part(sources.begin() + long(first),
                                   sources.begin() + long(std::min(sources.size(), first + most_sources)));
    char name[64];
    std::snprintf(name, sizeof name, "index.part-%05zu.h5", groups.size());
    write_index(output, name, part);
    hsize_t rows = 0;
    for (const Source& source : part) rows += source.rows;
    groups.push_back({name, rows});
  }
  return groups;
}

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

fs::path temporary(const fs::path& path) { return path.string() + ".tmp"; }

/// near_duplicates.jsonl: of the shards that hold such videos, which are read once more. `hashes` are looks_of() all rows of all
/// shards that have them, `first_of_shard` where each shard's begin.
void write_near_duplicates(const OutputLayout& layout, const std::vector<std::string>& shards, std::vector<ClipHash> hashes,
                           const std::vector<size_t>& first_of_shard, DatasetCounts& counts) {
  const std::vector<uint32_t> groups = near_duplicate_groups(hashes);
  hashes = {};
  GrowingFile out(temporary(layout.near_duplicates()));
  for (size_t shard = 0; shard < shards.size(); ++shard) {
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

DatasetCounts derive(const fs::path& output, Json run, const TellStep& tell, size_t most_sources) {
  const OutputLayout layout{output};
  std::vector<Source> sources;
  std::vector<std::string> names, hashes;
  std::vector<int64_t> rows;
  DatasetCounts counts;
  std::vector<ClipHash> hashes_of_clips;
  std::vector<size_t> first_of_shard;
  GrowingFile metadata(temporary(layout.metadata()));
  const auto shards = sealed_shards(layout.shards());
  for (size_t shard = 0; shard < shards.size(); ++shard) {
    if (tell) tell("shards read for index.h5 and metadata.jsonl", shard + 1, shards.size());
    const fs::path& path = shards[shard];
    const std::vector<SampleRecord> samples = read_shard(path);
    if (samples.empty()) continue;
    names.push_back(path.lexically_relative(output).string());
    hashes.push_back(sha256_of_file(path));
    rows.push_back(int64_t(samples.size()));
    sources.push_back({names.back(), samples.size()});
    first_of_shard.push_back(hashes_of_clips.size());
    for (const SampleRecord& sample : samples) {
      count(sample, counts);
      if (const auto hash = looks_of(sample)) hashes_of_clips.push_back(*hash);
      if (sample.status == int64_t(SampleStatus::done)) metadata.append(metadata_line(sample));
    }
  }
  metadata.close();
  publish(metadata.path(), layout.metadata());
  write_near_duplicates(layout, names, std::move(hashes_of_clips), first_of_shard, counts);

  remove_index(output);   // parts of an earlier one may be more than this one's; an index of no shard is none
  if (!sources.empty())
    write_index(output, "index.h5", grouped(output, sources, most_sources), [&](hid_t file) {
      Handle list = hdf5::create_group(file, "shards");
      hdf5::write_dataset(list, "name", names);
      hdf5::write_dataset(list, "rows", rows);
      hdf5::write_dataset(list, "sha256", hashes);
      list.close("writing the list of shards");
    });
  counts.shards = int64_t(names.size());
  run["samples"] = to_json(counts);
  write_atomically(layout.run(), run.dump(1) + "\n");
  return counts;
}

std::vector<hdf5::VirtualRows> indexed_rows(const fs::path& output, const std::string& column) {
  std::vector<hdf5::VirtualRows> all;
  const auto sources_in = [&](const std::string& file) {
    require(fs::exists(output / file), file, " is missing; run generate again");
    auto sources = hdf5::virtual_rows(hdf5::open_file(output / file), column);
    for (const auto& source : sources)
      require(source.dataset == "/" + column, "its column ", column, " shows ", source.dataset, " of ", source.file);
    return sources;
  };
  for (hdf5::VirtualRows& source : sources_in("index.h5")) {
    if (source.file.starts_with("shards/")) {
      all.push_back(std::move(source));
      continue;
    }
    for (hdf5::VirtualRows& of_part : sources_in(source.file)) {
      source.rows -= of_part.rows;
      all.push_back(std::move(of_part));
    }
    require(source.rows == 0, "its column ", column, " does not show the whole of ", source.file);
  }
  return all;
}

void check_index(const fs::path& output) {
  const fs::path path = OutputLayout{output}.index();
  const Handle file = hdf5::open_file(path);
  const auto names = hdf5::read_dataset<std::string>(file, "shards/name"), hashes = hdf5::read_dataset<std::string>(file, "shards/sha256");
  require(indexed_rows(output, "content/id").size() == names.size(), path.string(), ": lists other shards than it shows; run generate again");
  for (size_t i = 0; i < names.size(); ++i) {
    require(fs::exists(output / names[i]), path.string(), ": the shard ", names[i],
            " is missing; its rows would read as -1 and empty texts. Put it back, or run generate again");
    require(sha256_of_file(output / names[i]) == hashes.at(i), path.string(), ": the shard ", names[i],
            " has changed since the index was made; run generate again");
  }
}

}  // namespace pyracast
