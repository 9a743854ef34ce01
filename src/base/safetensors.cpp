// The safetensors format: 8 bytes little-endian length of the header; the header, a JSON object
//   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ..., "__metadata__": {"key": "text"}}
// padded with spaces; then the data, to which the offsets are relative. Tensors neither overlap nor leave gaps.
#include "base/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/stored_shape.hpp"

static_assert(std::endian::native == std::endian::little, "weight files are little-endian and are used in place");

namespace pyracast {

namespace {

// Not base/json.hpp's Json: its objects are searched linearly, and a header may name thousands of tensors.
using Header = nlohmann::json;

constexpr uint64_t longest_header = 100'000'000;
constexpr const char* metadata_key = "__metadata__";

struct TypeName {
  const char* name;
  DType dtype;
};
constexpr TypeName type_names[] = {{"F64", DType::float64}, {"F32", DType::float32}, {"F16", DType::float16},
                                   {"BF16", DType::bfloat16}, {"I64", DType::int64}, {"I32", DType::int32},
                                   {"I16", DType::int16}, {"I8", DType::int8}, {"U8", DType::uint8},
                                   {"BOOL", DType::boolean}};

DType dtype_named(const Header& name, const std::string& where) {
  for (const TypeName& type : type_names)
    if (name == type.name) return type.dtype;
  fail(where, "dtype is ", name.dump(-1, ' ', false, Header::error_handler_t::replace),
       ", expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL");
}

const char* name_in_file(DType dtype) {
  return std::ranges::find(type_names, dtype, &TypeName::dtype)->name;
}

/// A list of whole numbers 0 .. 2^63-1.
std::vector<int64_t> whole_numbers(const Header& value, const std::string& what) {
  require(value.is_array(), what, " is not a list");
  std::vector<int64_t> numbers;
  for (const Header& item : value) {
    require(item.is_number_unsigned() && item.get<uint64_t>() <= uint64_t(INT64_MAX), what, " holds ",
            item.dump(-1, ' ', false, Header::error_handler_t::replace), ", expected whole numbers from 0");
    numbers.push_back(item.get<int64_t>());
  }
  return numbers;
}

/// The JSON text of the header, its length checked against the file's.
std::string_view header_text(std::span<const std::byte> bytes, const std::string& file) {
  require(bytes.size() >= 8, file, ": has ", bytes.size(),
          " bytes, too few for a safetensors file, which begins with 8 bytes of header length; is the copy complete?");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  require(length <= longest_header, file, ": the header claims ", length, " bytes, more than the format's ",
          longest_header, "; this is no safetensors file");
  require(length <= bytes.size() - 8, file, ": the header claims ", length, " bytes, but only ", bytes.size() - 8,
          " follow; is the copy complete?");
  return {reinterpret_cast<const char*>(bytes.data()) + 8, size_t(length)};
}

Header parse_header(std::string_view text, const std::string& file) {
  std::set<std::string> seen;
  const auto refuse_repeated_names = [&](int depth, Header::parse_event_t event, Header& name) {
    if (depth == 1 && event == Header::parse_event_t::key)
      require(seen.insert(name.get<std::string>()).second, file, ": the header names ", name, " twice");
    return true;
  };
  try {
    Header header = Header::parse(text, refuse_repeated_names);
    require(header.is_object(), file, ": the header is not a JSON object");
    return header;
  } catch (const Header::exception& error) {
    fail(file, ": the header is not valid JSON: ", error.what());
  }
}

/// One entry of the header as a tensor of `data`, the bytes after the header.
StoredTensor tensor_of(const Header& entry, std::span<const std::byte> data, const std::string& where) {
  require(entry.is_object() && entry.contains("dtype") && entry.contains("shape") && entry.contains("data_offsets"),
          where, "expected an object with dtype, shape and data_offsets");
  StoredTensor tensor;
  tensor.dtype = dtype_named(entry["dtype"], where);
  tensor.shape = whole_numbers(entry["shape"], where + "shape");
  const auto offsets = whole_numbers(entry["data_offsets"], where + "data_offsets");
  require(offsets.size() == 2 && offsets[0] <= offsets[1], where, "data_offsets are ", offsets,
          ", expected [begin, end] with begin <= end");
  require(uint64_t(offsets[1]) <= data.size(), where, "data_offsets are ", offsets, ", but only ", data.size(),
          " bytes follow the header; is the copy complete?");
  const auto expected = byte_count(tensor.dtype, tensor.shape);
  require(expected.has_value(), where, "shape ", tensor.shape, " has more elements than can be counted");
  require(offsets[1] - offsets[0] == *expected, where, name_of(tensor.dtype), " ", tensor.shape, " takes ", *expected,
          " bytes, but data_offsets ", offsets, " give ", offsets[1] - offsets[0]);
  tensor.bytes = data.subspan(size_t(offsets[0]), size_t(*expected));
  return tensor;
}

/// Each byte of `data` belongs to exactly one tensor.
void check_coverage(const StoredTensors& tensors, std::span<const std::byte> data, const std::string& file) {
  std::vector<const StoredTensors::value_type*> by_offset;
  for (const auto& entry : tensors) by_offset.push_back(&entry);
  const auto begin = [&](auto* entry) { return entry->second.bytes.data() - data.data(); };
  std::ranges::stable_sort(by_offset, {}, [&](auto* entry) {
    return std::pair(begin(entry), entry->second.bytes.size());   // an empty tensor comes before its neighbour
  });
  ptrdiff_t end = 0;
  const std::string* previous = nullptr;
  for (const auto* entry : by_offset) {
    require(begin(entry) >= end, file, ": ", entry->first, " begins at byte ", begin(entry), " of the data, inside ",
            previous ? *previous : "", ", which ends at ", end, ": tensors must not overlap");
    require(begin(entry) == end, file, ": bytes ", end, " to ", begin(entry), " of the data belong to no tensor");
    end += ptrdiff_t(entry->second.bytes.size());
    previous = &entry->first;
  }
  require(size_t(end) == data.size(), file, ": ", data.size() - size_t(end),
          " bytes at the end belong to no tensor of the header");
}

/// The header of a file that holds the tensors in this order, with its length in front.
std::string header_for(const std::vector<DeclaredTensor>& tensors, const std::string& file) {
  Header header = {{metadata_key, {{"format", "pt"}}}};   // without it some Python loaders refuse the file
  int64_t offset = 0;
  for (const auto& [name, dtype, shape] : tensors) {
    require(name != metadata_key, file, ": a tensor cannot be called ", metadata_key);
    const int64_t end = offset + byte_count(dtype, shape).value();
    header[name] = {{"dtype", name_in_file(dtype)}, {"shape", shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Header::exception& error) {
    fail(file, ": a tensor's name cannot be written as JSON: ", error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + text;
}

}  // namespace

StoredTensors parse_safetensors(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                                const std::string& file) {
  const std::string_view text = header_text(bytes, file);
  const std::span<const std::byte> data = bytes.subspan(8 + text.size());
  const Header header = parse_header(text, file);
  StoredTensors tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == metadata_key) continue;
    StoredTensor tensor = tensor_of(entry, data, file + ": " + name + ": ");
    tensor.owner = owner;
    tensor.file = file;
    tensors.emplace(name, std::move(tensor));
  }
  check_coverage(tensors, data, file);
  return tensors;
}

StoredTensors read_safetensors(const std::filesystem::path& path) {
  const auto mapping = std::make_shared<const MappedFile>(path);
  return parse_safetensors(mapping->bytes(), mapping, path.string());
}

SafetensorsStream::SafetensorsStream(const std::filesystem::path& path, const std::vector<DeclaredTensor>& tensors)
    : path_(path.string()), file_(path) {
  for (const DeclaredTensor& tensor : tensors) missing_ += byte_count(tensor.dtype, tensor.shape).value();
  const std::string header = header_for(tensors, path_);
  file_.write(std::as_bytes(std::span(header)));
}

void SafetensorsStream::write(std::span<const std::byte> bytes) {
  file_.write(bytes);
  missing_ -= int64_t(bytes.size());
}

void SafetensorsStream::publish() {
  require(missing_ == 0, path_, ": ", missing_, " bytes fewer were written than its tensors have");
  file_.publish();
}

void write_safetensors(const std::filesystem::path& path, const StoredTensors& tensors) {
  std::vector<const StoredTensors::value_type*> order;
  for (const auto& entry : tensors) order.push_back(&entry);
  // Widest elements first: with the header's padding every tensor is aligned to its element.
  std::ranges::stable_sort(order, std::greater(), [](auto* entry) { return size_of(entry->second.dtype); });
  std::vector<DeclaredTensor> declared;
  for (const auto* entry : order) {
    const auto& [name, tensor] = *entry;
    require(byte_count(tensor.dtype, tensor.shape) == int64_t(tensor.bytes.size()), path.string(), ": ", name, ", ", name_of(tensor.dtype),
            " ", tensor.shape, ", has ", tensor.bytes.size(), " bytes");
    declared.push_back({name, tensor.dtype, tensor.shape});
  }
  SafetensorsStream file(path, declared);
  for (const auto* entry : order) file.write(entry->second.bytes);
  file.publish();
}

}  // namespace pyracast
