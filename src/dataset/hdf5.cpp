#include "dataset/hdf5.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/file.hpp"

namespace pyracast::hdf5 {

namespace {

/// At its end HDF5 would look again after files that it could not close on a full disk, and crash. All are closed by then.
[[maybe_unused]] const bool leaves_quietly = H5dont_atexit() >= 0;

/// HDF5 prints its errors by itself unless told not to, on each thread.
void silence() {
  [[maybe_unused]] thread_local const bool silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
}

herr_t keep_innermost(unsigned, const H5E_error2_t* error, void* text) {
  if (error->desc) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

/// Objects carry no times, so that equal contents make equal bytes.
Handle creation_list(hid_t list_class) {
  Handle list(H5Pcreate(list_class), H5Pclose, "creating a property list");
  check(H5Pset_obj_track_times(list, false), "switching times off");
  return list;
}

Handle space_of(const std::vector<hsize_t>& shape, const hsize_t* most = nullptr) {
  return Handle(H5Screate_simple(int(shape.size()), shape.data(), most), H5Sclose, "describing a dataset's shape");
}

std::vector<hsize_t> extent_of(hid_t space, const std::string& name) {
  std::vector<hsize_t> shape(size_t(check(H5Sget_simple_extent_ndims(space), "asking for the shape of " + name)));
  check(H5Sget_simple_extent_dims(space, shape.data(), nullptr), "asking for the shape of " + name);
  return shape;
}

Handle open_dataset(hid_t parent, const std::string& name) {
  return Handle(H5Dopen2(parent, name.c_str(), H5P_DEFAULT), H5Dclose, "opening the dataset " + name);
}

/// HDF5's own checksums cover chunks of numbers; variable-length texts lie elsewhere in the file.
constexpr char text_checksum[] = "sha256";

std::string checksum_of(const std::vector<std::string>& values) {
  std::string all;
  for (const std::string& value : values) (all += value) += '\0';
  return sha256(all);
}

/// Throws Error where a dataset says that it is larger than what the file holds of it: nobody shall make room for that.
size_t element_count(hid_t dataset, const std::string& name) {
  const Handle space(H5Dget_space(dataset), H5Sclose, "asking for the shape of " + name);
  const Handle type(H5Dget_type(dataset), H5Tclose, "asking for the type of " + name);
  const auto count = hsize_t(check(H5Sget_simple_extent_npoints(space), "asking for the size of " + name));
  const size_t bytes = H5Tget_size(type);
  require(bytes > 0 && count <= H5Dget_storage_size(dataset) / bytes, name, " has ", count, " values, but the file holds fewer");
  return size_t(count);
}

/// Texts of a dataset from a selection in the file (H5S_ALL: all) into a vector of `memory`'s shape.
std::vector<std::string> read_texts(hid_t dataset, const std::string& name, hid_t memory, hid_t file) {
  const Handle type = string_type();
  std::vector<char*> pointers(size_t(H5Sget_simple_extent_npoints(memory)));
  check(H5Dread(dataset, type, memory, file, H5P_DEFAULT, pointers.data()), "reading " + name);
  std::vector<std::string> values;
  for (const char* pointer : pointers) values.emplace_back(pointer ? pointer : "");
  check(H5Dvlen_reclaim(type, memory, H5P_DEFAULT, pointers.data()), "freeing " + name);
  return values;
}

}  // namespace

void fail_with_error_stack(const std::string& what) {
  std::string text = "unknown HDF5 error";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_innermost, &text);
  constexpr std::string_view number = "errno = ";
  const size_t of_the_system = text.find(number);
  if (of_the_system == text.npos) fail(what, ": ", text);
  throw Error(concat(what, ": ", reason_of(std::atoi(text.c_str() + of_the_system + number.size()))), ExitCode::environment);
}

Handle create_file(const std::filesystem::path& path) {
  silence();
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "creating a property list");
  check(H5Pset_obj_track_times(creation, false), "switching times off");
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "creating a property list");
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), "choosing the format of HDF5 1.10");
  return Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose, "creating " + path.string());
}

Handle open_file(const std::filesystem::path& path) {
  silence();
  return Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "opening " + path.string());
}

Handle create_group(hid_t parent, const std::string& name) {
  return Handle(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, creation_list(H5P_GROUP_CREATE), H5P_DEFAULT), H5Gclose,
                "creating the group " + name);
}

Handle string_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "describing strings");
  check(H5Tset_size(type, H5T_VARIABLE), "describing strings");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "describing strings");
  return type;
}

template <class T>
void write_dataset(hid_t parent, const std::string& name, const std::vector<T>& values, std::vector<hsize_t> shape) {
  if (shape.empty()) shape = {values.size()};
  const Handle space = space_of(shape), list = creation_list(H5P_DATASET_CREATE);
  if (!values.empty()) {
    std::vector<hsize_t> chunk = shape;
    chunk[0] = std::min<hsize_t>(chunk[0], rows_a_chunk);
    check(H5Pset_chunk(list, int(chunk.size()), chunk.data()), "chunking " + name);
    check(H5Pset_fletcher32(list), "checksumming " + name);
  }
  Handle dataset(H5Dcreate2(parent, name.c_str(), type_of<T>(), space, H5P_DEFAULT, list, H5P_DEFAULT), H5Dclose,
                       "creating " + name);
  if (!values.empty())
    check(H5Dwrite(dataset, type_of<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "writing " + name);
  dataset.close("writing " + name);
}

template void write_dataset(hid_t, const std::string&, const std::vector<float>&, std::vector<hsize_t>);
template void write_dataset(hid_t, const std::string&, const std::vector<double>&, std::vector<hsize_t>);
template void write_dataset(hid_t, const std::string&, const std::vector<int64_t>&, std::vector<hsize_t>);
template void write_dataset(hid_t, const std::string&, const std::vector<uint64_t>&, std::vector<hsize_t>);

void write_dataset(hid_t parent, const std::string& name, const std::vector<std::string>& values) {
  const Handle type = string_type(), space = space_of({values.size()}), list = creation_list(H5P_DATASET_CREATE);
  Handle dataset(H5Dcreate2(parent, name.c_str(), type, space, H5P_DEFAULT, list, H5P_DEFAULT), H5Dclose, "creating " + name);
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  if (!values.empty()) check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()), "writing " + name);
  write_attribute(dataset, text_checksum, checksum_of(values));
  dataset.close("writing " + name);
}

template <class T>
std::vector<T> read_dataset(hid_t parent, const std::string& name) {
  const Handle dataset = open_dataset(parent, name);
  std::vector<T> values(element_count(dataset, name));
  if (!values.empty()) check(H5Dread(dataset, type_of<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "reading " + name);
  return values;
}

template std::vector<float> read_dataset(hid_t, const std::string&);
template std::vector<double> read_dataset(hid_t, const std::string&);
template std::vector<int64_t> read_dataset(hid_t, const std::string&);
template std::vector<uint64_t> read_dataset(hid_t, const std::string&);
template std::vector<uint16_t> read_dataset(hid_t, const std::string&);
template std::vector<uint8_t> read_dataset(hid_t, const std::string&);

template <>
std::vector<std::string> read_dataset<std::string>(hid_t parent, const std::string& name) {
  const Handle dataset = open_dataset(parent, name);
  const size_t count = element_count(dataset, name);
  const std::vector<std::string> values = count ? read_texts(dataset, name, space_of({count}), H5S_ALL) : std::vector<std::string>();
  if (count && check(H5Aexists(dataset, text_checksum), "looking for the checksum of " + name))
    require(read_text_attribute(dataset, text_checksum) == checksum_of(values), name, " does not fit its checksum");
  return values;
}

template <class T>
std::vector<T> read_rows(hid_t parent, const std::string& name, hsize_t first, hsize_t count) {
  const Handle dataset = open_dataset(parent, name), space(H5Dget_space(dataset), H5Sclose, "asking for the shape of " + name);
  element_count(dataset, name);
  std::vector<hsize_t> shape = extent_of(space, name);
  require(!shape.empty() && first <= shape[0] && count <= shape[0] - first, name, " ends before row ", first + count);
  std::vector<hsize_t> start(shape.size(), 0);
  start[0] = first;
  shape[0] = count;
  size_t elements = 1;
  for (const hsize_t size : shape) elements *= size_t(size);
  if (elements == 0) return {};
  check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, shape.data(), nullptr), "selecting rows of " + name);
  const Handle memory = space_of(shape);
  if constexpr (std::is_same_v<T, std::string>) {
    return read_texts(dataset, name, memory, space);
  } else {
    std::vector<T> values(elements);
    check(H5Dread(dataset, type_of<T>(), memory, space, H5P_DEFAULT, values.data()), "reading " + name);
    return values;
  }
}

template std::vector<float> read_rows(hid_t, const std::string&, hsize_t, hsize_t);
template std::vector<double> read_rows(hid_t, const std::string&, hsize_t, hsize_t);
template std::vector<int64_t> read_rows(hid_t, const std::string&, hsize_t, hsize_t);
template std::vector<uint64_t> read_rows(hid_t, const std::string&, hsize_t, hsize_t);
template std::vector<uint16_t> read_rows(hid_t, const std::string&, hsize_t, hsize_t);
template std::vector<uint8_t> read_rows(hid_t, const std::string&, hsize_t, hsize_t);
template std::vector<std::string> read_rows(hid_t, const std::string&, hsize_t, hsize_t);

hsize_t row_count(hid_t parent, const std::string& name) {
  const Handle dataset = open_dataset(parent, name), space(H5Dget_space(dataset), H5Sclose, "asking for the shape of " + name);
  const std::vector<hsize_t> shape = extent_of(space, name);
  return shape.empty() ? 0 : shape[0];
}

bool exists(hid_t parent, const std::string& name) {
  return check(H5Lexists(parent, name.c_str(), H5P_DEFAULT), "looking for " + name) > 0;
}

void write_attribute(hid_t object, const std::string& name, const std::string& value) {
  const Handle type = string_type(), space(H5Screate(H5S_SCALAR), H5Sclose, "describing an attribute");
  Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, "creating " + name);
  const char* pointer = value.c_str();
  check(H5Awrite(attribute, type, &pointer), "writing " + name);
  attribute.close("writing " + name);
}

void write_attribute(hid_t object, const std::string& name, int64_t value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose, "describing an attribute");
  Handle attribute(H5Acreate2(object, name.c_str(), H5T_NATIVE_INT64, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                         "creating " + name);
  check(H5Awrite(attribute, H5T_NATIVE_INT64, &value), "writing " + name);
  attribute.close("writing " + name);
}

std::string read_text_attribute(hid_t object, const std::string& name) {
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "opening the attribute " + name);
  const Handle type = string_type();
  char* pointer = nullptr;
  check(H5Aread(attribute, type, &pointer), "reading the attribute " + name);
  const std::string value = pointer ? pointer : "";
  H5free_memory(pointer);
  return value;
}

int64_t read_number_attribute(hid_t object, const std::string& name) {
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "opening the attribute " + name);
  int64_t value = 0;
  check(H5Aread(attribute, H5T_NATIVE_INT64, &value), "reading the attribute " + name);
  return value;
}

GrowingDataset::GrowingDataset(hid_t parent, const std::string& name, hid_t type, std::vector<hsize_t> row_shape,
                               hsize_t chunk_rows)
    : name_(name), type_(type), row_shape_(std::move(row_shape)) {
  std::vector<hsize_t> shape{0}, most{H5S_UNLIMITED}, chunk{chunk_rows};
  for (const hsize_t size : row_shape_)
    for (auto* sizes : {&shape, &most, &chunk}) sizes->push_back(size);
  const Handle space = space_of(shape, most.data()), list = creation_list(H5P_DATASET_CREATE);
  check(H5Pset_chunk(list, int(chunk.size()), chunk.data()), "chunking " + name);
  if (H5Tget_class(type) != H5T_STRING) check(H5Pset_fletcher32(list), "checksumming " + name);   // a chunk of texts holds where they are
  dataset_ = Handle(H5Dcreate2(parent, name.c_str(), type, space, H5P_DEFAULT, list, H5P_DEFAULT), H5Dclose, "creating " + name);
}

void GrowingDataset::append(const void* values, hsize_t rows) {
  if (rows == 0) return;
  std::vector<hsize_t> start{rows_}, count{rows}, size{rows_ + rows};
  for (const hsize_t extent : row_shape_) {
    start.push_back(0);
    count.push_back(extent);
    size.push_back(extent);
  }
  check(H5Dset_extent(dataset_, size.data()), "growing " + name_);
  const Handle file_space(H5Dget_space(dataset_), H5Sclose, "asking for the shape of " + name_), memory = space_of(count);
  check(H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr), "selecting rows of " + name_);
  check(H5Dwrite(dataset_, type_, memory, file_space, H5P_DEFAULT, values), "writing " + name_);
  rows_ += rows;
}

}  // namespace pyracast::hdf5
