#include "dataset/shard_file.hpp"

#include <algorithm>
#include <variant>

#include "base/file.hpp"
#include "dataset/layout.hpp"
#include "dataset/seal.hpp"

namespace pyracast {

namespace {

using hdf5::Handle;

const char* group_name(SampleGroup group) { return group == SampleGroup::content ? "content" : "provenance"; }

/// A shard that the system cannot read may be sound: the code tells them apart.
Error unsound(const std::filesystem::path& path, const Error& error) {
  const bool unreadable = error.code == ExitCode::environment;
  return Error(concat(path.string(), unreadable ? ": cannot be read: " : ": is not a sound shard: ", error.what()), error.code);
}

using Column = std::variant<std::vector<std::string>, std::vector<int64_t>, std::vector<uint64_t>, std::vector<double>>;

/// All columns of a shard, in the order of SampleRecord::fields.
std::vector<Column> columns_of(hid_t file) {
  std::vector<Column> columns;
  SampleRecord names;
  size_t rows = 0;
  SampleRecord::fields([&]<class Member>(SampleGroup group, const char* name, Member&) {
    auto column = hdf5::read_dataset<Member>(file, concat(group_name(group), '/', name));
    if (columns.empty()) rows = column.size();
    require(column.size() == rows, "its column ", name, " has ", column.size(), " of ", rows, " rows");
    columns.push_back(std::move(column));
  }, names);
  return columns;
}

std::vector<SampleRecord> rows_of(std::vector<Column> columns) {
  std::vector<SampleRecord> rows(std::visit([](const auto& column) { return column.size(); }, columns.at(0)));
  for (size_t i = 0; i < rows.size(); ++i) {
    auto column = columns.begin();
    SampleRecord::fields([&]<class Member>(SampleGroup, const char*, Member& member) {
      member = std::move(std::get<std::vector<Member>>(*column++)[i]);
    }, rows[i]);
  }
  return rows;
}

}  // namespace

ShardFile::ShardFile(const std::filesystem::path& temporary, const std::string& fingerprint, const std::string& configuration)
    : temporary_(temporary), fingerprint_(fingerprint), file_(hdf5::create_file(temporary)), content_(hdf5::create_group(file_, "content")),
      provenance_(hdf5::create_group(file_, "provenance")) {
  hdf5::write_attribute(file_, "format", "pyracast shard");
  hdf5::write_attribute(file_, "format_version", shard_format_version);
  hdf5::write_attribute(file_, "fingerprint", fingerprint);
  hdf5::write_attribute(file_, "configuration", configuration);
}

void ShardFile::append(const SampleRecord& record) try {
  for (const auto& step : record.step_seconds) step_seconds_.insert(step_seconds_.end(), step.begin(), step.end());
  for (const auto& step : record.step_counts) step_counts_.insert(step_counts_.end(), step.begin(), step.end());
  step_offsets_.push_back(step_offsets_.back() + int64_t(record.step_seconds.size()));
  SampleRecord row = record;
  SampleRecord::arrays([&]<class Element>(const char* name, size_t axes, SampleArray<Element>& array) {
    FlatArrays& flat = arrays_[name];
    if (!array.values.empty()) {
      if (!flat.values)   // made when the first one comes
        flat.values.emplace(content_, name, hdf5::type_of<Element>(), std::vector<hsize_t>{},
                            std::clamp<hsize_t>(array.values.size(), 1024, 1 << 20));
      flat.values->append(array.values.data(), array.values.size());
    }
    flat.offsets.push_back(flat.offsets.back() + int64_t(array.values.size()));
    for (size_t axis = 0; axis < axes; ++axis) flat.shapes.push_back(axis < array.shape.size() ? array.shape[axis] : 0);
    bytes_ += array.values.size() * sizeof(Element);
    array = {};
  }, row);
  if (record.pixels) {
    const Video& v = *record.pixels;
    const std::string bucket = concat(v.frames, 'x', v.height, 'x', v.width);
    auto found = pixels_.find(bucket);
    if (found == pixels_.end())
      found = pixels_.emplace(bucket, PixelBucket{hdf5::GrowingDataset(content_, "frames_" + bucket, H5T_NATIVE_UINT8,
                                                                      {hsize_t(v.frames), hsize_t(v.height), hsize_t(v.width), 3}, 1),
                                                 {}}).first;
    found->second.clips.append(v.rgb.data(), 1);
    found->second.rows.push_back(int64_t(rows_.size()));
    bytes_ += v.rgb.size();
  }
  row.step_seconds.clear();
  row.step_counts.clear();
  row.pixels.reset();
  rows_.push_back(std::move(row));
} catch (const Error& error) {
  throw Error(concat(temporary_.string(), ": the shard cannot be written: ", error.what()), ExitCode::environment);
}

void ShardFile::write_columns() {
  SampleRecord names;
  SampleRecord::fields([&]<class Member>(SampleGroup group, const char* name, Member&) {
    std::vector<Member> column;
    for (SampleRecord& row : rows_)
      SampleRecord::fields([&]<class Other>(SampleGroup, const char* other, Other& member) {
        if constexpr (std::is_same_v<Other, Member>)
          if (std::string_view(other) == name) column.push_back(member);
      }, row);
    hdf5::write_dataset(group == SampleGroup::content ? content_ : provenance_, name, column);
  }, names);
  hdf5::write_dataset(provenance_, "step_seconds", step_seconds_, {step_seconds_.size() / step_phases.size(), step_phases.size()});
  hdf5::write_dataset(provenance_, "step_counts", step_counts_, {step_counts_.size() / step_counters.size(), step_counters.size()});
  hdf5::write_dataset(provenance_, "step_counters", std::vector<std::string>(step_counters.begin(), step_counters.end()));
  hdf5::write_dataset(provenance_, "step_offsets", step_offsets_);
  hdf5::write_dataset(provenance_, "step_phases", std::vector<std::string>(step_phases.begin(), step_phases.end()));
  const hsize_t count = rows_.size();
  for (const auto& [name, flat] : arrays_) {
    if (!flat.values) continue;
    hdf5::write_dataset(content_, name + "_offsets", flat.offsets);
    hdf5::write_dataset(content_, name + "_shapes", flat.shapes, {count, flat.shapes.size() / count});
    if (name == "text_embedding") hdf5::write_attribute(flat.values->id(), "dtype", "bfloat16");
  }
  for (auto& [bucket, clips] : pixels_) hdf5::write_dataset(content_, "frames_" + bucket + "_rows", clips.rows);
}

std::filesystem::path ShardFile::seal(const std::filesystem::path& folder) {
  std::string samples;
  for (const SampleRecord& row : rows_) samples += concat(row.id, '\n', row.sample, '\n');
  const std::string name = sha256(samples).substr(0, 20);
  const std::filesystem::path path = folder / name.substr(0, 2) / ("shard-" + name + ".h5");
  make_folder(path.parent_path());
  seal_as(path);
  return path;
}

void ShardFile::seal_as(const std::filesystem::path& path) try {
  write_columns();
  for (auto& [name, flat] : arrays_)
    if (flat.values) flat.values->close();
  for (auto& [bucket, clips] : pixels_) clips.clips.close();
  content_.close("closing a shard");
  provenance_.close("closing a shard");
  file_.close("closing " + temporary_.string());
  append_seal(temporary_, fingerprint_);
  publish(temporary_, path);
} catch (const Error& error) {
  throw Error(concat(temporary_.string(), ": the shard cannot be written: ", error.what()), ExitCode::environment);
}

std::string check_shard_seal(const std::filesystem::path& path) try {
  return check_seal(path);
} catch (const Error& error) {
  throw unsound(path, error);
}

std::vector<SampleRecord> read_shard(const std::filesystem::path& path, ShardCheck check) {
  if (check == ShardCheck::seal) check_shard_seal(path);
  try {
    const Handle file = hdf5::open_file(path);
    const int64_t version = hdf5::read_number_attribute(file, "format_version");
    require(version == shard_format_version, "its format is version ", version, ", this program reads version ", shard_format_version);
    std::vector<SampleRecord> rows = rows_of(columns_of(file));
    const auto offsets = hdf5::read_dataset<int64_t>(file, "provenance/step_offsets");
    const auto seconds = hdf5::read_dataset<float>(file, "provenance/step_seconds");
    const auto counts = hdf5::read_dataset<int64_t>(file, "provenance/step_counts");
    require(std::is_sorted(offsets.begin(), offsets.end()), "its step_offsets are not in order");
    require(offsets.size() == rows.size() + 1 && offsets.front() == 0 && offsets.back() <= int64_t(seconds.size()) &&
                offsets.back() * int64_t(step_phases.size()) == int64_t(seconds.size()) &&
                offsets.back() * int64_t(step_counters.size()) == int64_t(counts.size()),
            "its step_offsets do not fit its step_seconds and step_counts");
    return rows;
  } catch (const Error& error) {
    throw unsound(path, error);
  }
}

std::string shard_fingerprint(const std::filesystem::path& path) try {
  return sealed_fingerprint(path);
} catch (const Error& error) {
  throw unsound(path, error);
}

std::vector<std::filesystem::path> sealed_shards(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> shards;
  if (std::filesystem::is_directory(folder))
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      if (entry.path().extension() == ".h5" && entry.path().filename().string().starts_with("shard-")) shards.push_back(entry.path());
  std::sort(shards.begin(), shards.end());
  return shards;
}

}  // namespace pyracast
