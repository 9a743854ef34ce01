#include "dataset/shard_reader.hpp"

#include <algorithm>

#include "dataset/shard_file.hpp"

namespace pyracast {

namespace {

std::string frames_name(const SampleRecord& row) {
  return concat("content/frames_", row.frames, 'x', row.height, 'x', row.width);
}

}  // namespace

ShardReader::ShardReader(const std::filesystem::path& path, ShardCheck check)
    : path_(path), rows_(read_shard(path, check)), file_(hdf5::open_file(path)),
      step_offsets_(hdf5::read_dataset<int64_t>(file_, "provenance/step_offsets")) {
  for (const SampleRecord& row : rows_) {
    const std::string name = frames_name(row) + "_rows";
    if (!hdf5::exists(file_, name)) continue;
    const auto rows = hdf5::read_dataset<int64_t>(file_, name);
    for (size_t i = 0; i < rows.size(); ++i) clips_[size_t(rows[i])] = i;
  }
}

template <class Element>
SampleArray<Element> ShardReader::array(const std::string& name, size_t row, size_t axes) const {
  if (!hdf5::exists(file_, name)) return {};
  const auto limits = hdf5::read_rows<int64_t>(file_, name + "_offsets", row, 2);
  if (limits[0] == limits[1]) return {};
  const auto shape = hdf5::read_rows<int64_t>(file_, name + "_shapes", row, 1);
  int64_t elements = 1;
  for (const int64_t size : shape)
    require(size > 0 && !__builtin_mul_overflow(elements, size, &elements), "a shape of ", name, " is ", shape);
  require(shape.size() == axes && limits[0] >= 0 && limits[0] < limits[1] && elements == limits[1] - limits[0],
          "the offsets and shapes of ", name, " do not fit one another");
  return {shape, hdf5::read_rows<Element>(file_, name, hsize_t(limits[0]), hsize_t(limits[1] - limits[0]))};
}

std::vector<SampleRecord> ShardReader::rows_with_steps() const try {
  std::vector<SampleRecord> rows = rows_;
  const auto seconds = hdf5::read_dataset<float>(file_, "provenance/step_seconds");
  const auto counts = hdf5::read_dataset<int64_t>(file_, "provenance/step_counts");
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto fill = [&]<class Row>(const auto& all, std::vector<Row>& out) {
      for (int64_t step = step_offsets_.at(i); step < step_offsets_.at(i + 1); ++step) {
        const size_t width = std::tuple_size_v<Row>, at = size_t(step) * width;
        require(step >= 0 && at + width <= all.size(), "its step_offsets are damaged");
        std::copy_n(all.begin() + long(at), width, out.emplace_back().begin());
      }
    };
    fill(seconds, rows[i].step_seconds);
    fill(counts, rows[i].step_counts);
  }
  return rows;
} catch (const Error& error) {
  fail(path_.string(), ": its steps cannot be read: ", error.what());
}

SampleRecord ShardReader::whole(size_t row) const try {
  SampleRecord record = rows_.at(row);
  const int64_t first = step_offsets_.at(row), steps = step_offsets_.at(row + 1) - first;
  if (steps > 0) {
    const auto fill = [&]<class Row>(const char* name, std::vector<Row>& out) {
      const auto values = hdf5::read_rows<typename Row::value_type>(file_, name, hsize_t(first), hsize_t(steps));
      out.resize(size_t(steps));
      require(values.size() == out.size() * out[0].size(), name, " has rows of ", values.size() / out.size(), " values, expected ", out[0].size());
      for (size_t i = 0; i < values.size(); ++i) out[i / out[0].size()][i % out[0].size()] = values[i];
    };
    fill("provenance/step_seconds", record.step_seconds);
    fill("provenance/step_counts", record.step_counts);
  }
  SampleRecord::arrays([&]<class Element>(const char* name, size_t axes, SampleArray<Element>& out) {
    out = array<Element>(concat("content/", name), row, axes);
  }, record);
  if (const auto clip = clips_.find(row); clip != clips_.end()) {
    record.pixels = Video{int(record.frames), int(record.height), int(record.width), record.fps,
                          hdf5::read_rows<uint8_t>(file_, frames_name(record), clip->second, 1)};
    require(record.frames > 0 && record.pixels->rgb.size() == size_t(record.frames) * record.pixels->frame_bytes(), frames_name(record),
            " has clips of ", record.pixels->rgb.size(), " bytes");
  }
  return record;
} catch (const Error& error) {
  throw Error(concat(path_.string(), ": row ", row, " cannot be read: ", error.what()), error.code);
}

}  // namespace pyracast
