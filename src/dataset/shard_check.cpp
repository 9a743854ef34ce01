#include "dataset/shard_check.hpp"

#include <algorithm>

#include "dataset/hdf5.hpp"
#include "dataset/sample.hpp"
#include "dataset/shard_file.hpp"

namespace pyracast {

namespace {

using hdf5::Handle;

constexpr hsize_t bytes_at_once = 16 << 20;

std::vector<std::string> members_of(hid_t group) {
  H5G_info_t info;
  hdf5::check(H5Gget_info(group, &info), "listing a group");
  std::vector<std::string> names(info.nlinks);
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    const auto name = [&](char* out, size_t size) {
      return size_t(hdf5::check(H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, out, size, H5P_DEFAULT),
                                "listing a group"));
    };
    names[i].resize(name(nullptr, 0));
    name(names[i].data(), names[i].size() + 1);
  }
  return names;
}

std::vector<hsize_t> shape_of(hid_t dataset) {
  const Handle space(H5Dget_space(dataset), H5Sclose, "asking for a shape");
  std::vector<hsize_t> shape(size_t(hdf5::check(H5Sget_simple_extent_ndims(space), "asking for a shape")));
  hdf5::check(H5Sget_simple_extent_dims(space, shape.data(), nullptr), "asking for a shape");
  return shape;
}

/// Rows of a chunk: reading whole chunks reads each once.
hsize_t chunk_rows(hid_t dataset, size_t axes) {
  const Handle list(H5Dget_create_plist(dataset), H5Pclose, "asking for the chunks");
  if (H5Pget_layout(list) != H5D_CHUNKED) return 1;
  std::vector<hsize_t> chunk(axes);
  hdf5::check(H5Pget_chunk(list, int(axes), chunk.data()), "asking for the chunks");
  return chunk[0];
}

uint64_t read_numbers(hid_t dataset, hid_t stored_type) {
  const std::vector<hsize_t> shape = shape_of(dataset);
  const Handle type(H5Tget_native_type(stored_type, H5T_DIR_DEFAULT), H5Tclose, "asking for a type");
  hsize_t row_bytes = H5Tget_size(type);
  for (size_t axis = 1; axis < shape.size(); ++axis) row_bytes *= shape[axis];
  if (shape.empty() || shape[0] == 0 || row_bytes == 0) return 0;
  const hsize_t chunk = chunk_rows(dataset, shape.size());
  const hsize_t rows_at_once = std::max<hsize_t>(1, bytes_at_once / (row_bytes * chunk)) * chunk;
  const Handle space(H5Dget_space(dataset), H5Sclose, "asking for a shape");
  std::vector<char> values(size_t(std::min(rows_at_once, shape[0]) * row_bytes));
  std::vector<hsize_t> start(shape.size(), 0), count = shape;
  for (; start[0] < shape[0]; start[0] += count[0]) {
    count[0] = std::min(rows_at_once, shape[0] - start[0]);
    hdf5::check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr), "selecting rows");
    const Handle memory(H5Screate_simple(int(count.size()), count.data(), nullptr), H5Sclose, "describing rows");
    hdf5::check(H5Dread(dataset, type, memory, space, H5P_DEFAULT, values.data()), "reading");
  }
  return shape[0] * row_bytes;
}

uint64_t read_to_the_end(hid_t group, const std::string& name) try {
  const Handle dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose, "opening");
  const Handle type(H5Dget_type(dataset), H5Tclose, "asking for a type");
  if (H5Tget_class(type) != H5T_STRING) return read_numbers(dataset, type);
  uint64_t bytes = 0;
  for (const std::string& text : hdf5::read_dataset<std::string>(group, name)) bytes += text.size();
  return bytes;
} catch (const Error& error) {
  throw Error(concat("the dataset ", name, " cannot be read to its end: ", error.what()), error.code);
}

void check_offsets(hid_t content, const std::string& name, size_t axes, size_t rows) {
  if (!hdf5::exists(content, name)) return;
  const auto offsets = hdf5::read_dataset<int64_t>(content, name + "_offsets");
  const auto shapes = hdf5::read_dataset<int64_t>(content, name + "_shapes");
  const Handle dataset(H5Dopen2(content, name.c_str(), H5P_DEFAULT), H5Dclose, "opening " + name);
  const auto stored = shape_of(dataset);
  bool fit = offsets.size() == rows + 1 && shapes.size() == rows * axes && offsets[0] == 0 && offsets.back() == int64_t(stored.at(0));
  for (size_t row = 0; fit && row < rows; ++row) {
    int64_t elements = 1;
    for (size_t axis = 0; axis < axes; ++axis) elements *= shapes[row * axes + axis];
    fit = offsets[row + 1] - offsets[row] == elements;
  }
  require(fit, "the offsets and shapes of ", name, " do not fit its ", stored.at(0), " values");
}

/// Gives the bytes of all values.
uint64_t read_all(hid_t file) {
  uint64_t bytes = 0;
  for (const char* name : {"content", "provenance"}) {
    const Handle group(H5Gopen2(file, name, H5P_DEFAULT), H5Gclose, concat("opening the group ", name));
    for (const std::string& member : members_of(group)) bytes += read_to_the_end(group, member);
  }
  const Handle content(H5Gopen2(file, "content", H5P_DEFAULT), H5Gclose, "opening the group content");
  const size_t rows = hdf5::read_dataset<int64_t>(content, "sample").size();
  SampleRecord names;
  SampleRecord::arrays([&](const char* name, size_t axes, auto&) { check_offsets(content, name, axes, rows); }, names);
  return bytes;
}

}  // namespace

CheckedShard check_shard(const std::filesystem::path& path) {
  CheckedShard checked{check_shard_seal(path)};   // before HDF5 sees it
  try {
    checked.bytes = read_all(hdf5::open_file(path));
    return checked;
  } catch (const Error& error) {
    if (error.code == ExitCode::environment) throw;
    fail(path.string(), ": is damaged: ", error.what());
  }
}

}  // namespace pyracast
