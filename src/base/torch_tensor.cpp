#include "base/torch_tensor.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/stored_shape.hpp"

namespace pyracast {

namespace {

using Kind = PickleValue::Kind;

struct StorageType {
  std::string_view storage, name;
  std::optional<DType> dtype;   ///< nothing: known only to be skipped
  int64_t element_bytes;
};
constexpr StorageType types[] = {{"DoubleStorage", "float64", DType::float64, 8},
                                 {"FloatStorage", "float32", DType::float32, 4},
                                 {"HalfStorage", "float16", DType::float16, 2},
                                 {"BFloat16Storage", "bfloat16", DType::bfloat16, 2},
                                 {"LongStorage", "int64", DType::int64, 8},
                                 {"IntStorage", "int32", DType::int32, 4},
                                 {"ShortStorage", "int16", DType::int16, 2},
                                 {"CharStorage", "int8", DType::int8, 1},
                                 {"ByteStorage", "uint8", DType::uint8, 1},
                                 {"BoolStorage", "bool", DType::boolean, 1},
                                 {"UntypedStorage", "", std::nullopt, 1},
                                 {"ComplexFloatStorage", "complex64", std::nullopt, 8},
                                 {"ComplexDoubleStorage", "complex128", std::nullopt, 16},
                                 {"QInt8Storage", "qint8", std::nullopt, 1},
                                 {"QUInt8Storage", "quint8", std::nullopt, 1},
                                 {"QInt32Storage", "qint32", std::nullopt, 4}};

// Strided tensors may be copied into as much memory as the file takes and this much more: a tensor that repeats one
// element (stride 0) claims any size.
constexpr size_t copies_beyond_file_size = size_t(64) << 20;
constexpr int deepest_wrapping = 16;

std::string printed(const PickleValue& value) {
  switch (value.kind) {
    case Kind::global: return concat(value.module, ".", value.text);
    case Kind::object: return "an object";
    case Kind::persistent: return "a storage";
    case Kind::dict: return "a dict";
    case Kind::list:
    case Kind::tuple:
    case Kind::set: return "a list, tuple or set";
    case Kind::text: return concat("\"", value.text.substr(0, 80), "\"");
    case Kind::integer: return std::to_string(value.integer);
    default: return "a plain value";
  }
}

/// The elements of a tuple, which must be at least `least`.
const std::vector<PickleIndex>& tuple(const PickleValue& value, size_t least, const std::string& where) {
  require(value.kind == Kind::tuple && value.items.size() >= least, where, "a tuple of ", value.items.size(),
          " values where at least ", least, " are expected");
  return value.items;
}

int64_t integer(const PickleValue& value, const std::string& where, const char* what) {
  require(value.kind == Kind::integer && value.integer >= 0, where, what, " is ", printed(value),
          ", expected a whole number from 0");
  return value.integer;
}

/// A tuple of whole numbers, or torch.Size of one.
std::vector<int64_t> integers(const Pickle& pickle, const PickleValue& value, const std::string& where,
                              const char* what) {
  const bool is_size = value.kind == Kind::object && Pickle::is_global(pickle[value.callable], "torch", "Size");
  const PickleValue& numbers = is_size ? pickle[tuple(pickle[value.arguments], 1, where).front()] : value;
  require(numbers.kind == Kind::tuple || numbers.kind == Kind::list, where, what, " is ", printed(numbers),
          ", expected a tuple");
  std::vector<int64_t> result;
  for (const PickleIndex item : numbers.items) result.push_back(integer(pickle[item], where, what));
  return result;
}

std::string text(const PickleValue& value, const std::string& where, const char* what) {
  require(value.kind == Kind::text, where, what, " is ", printed(value), ", expected a text");
  return std::string(value.text);
}

void set_type(TorchStorage& storage, const PickleValue& type) {
  storage.type_name = printed(type);
  if (type.kind != Kind::global || (type.module != "torch" && type.module != "torch.storage")) return;
  const auto found = std::ranges::find(types, type.text, &StorageType::storage);
  if (found == std::end(types)) return;
  storage.dtype = found->dtype;
  storage.element_bytes = found->element_bytes;
}

bool is_rebuild(const PickleValue& callable, std::string_view function) {
  return Pickle::is_global(callable, "torch._utils", function);
}

bool makes_tensors(const PickleValue& callable) {
  return is_rebuild(callable, "_rebuild_tensor") || is_rebuild(callable, "_rebuild_tensor_v2") ||
         is_rebuild(callable, "_rebuild_tensor_v3") || is_rebuild(callable, "_rebuild_parameter") ||
         is_rebuild(callable, "_rebuild_parameter_with_state") ||
         Pickle::is_global(callable, "torch._tensor", "_rebuild_from_type_v2");
}

bool is_contiguous(const Shape& shape, const std::vector<int64_t>& strides) {
  int64_t expected = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] != 1 && strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

}  // namespace

TorchStorage torch_storage(const Pickle& pickle, const PickleValue& persistent, const std::string& where) {
  const auto& parts = tuple(pickle[persistent.arguments], 5, where);
  require(text(pickle[parts[0]], where, "a persistent value's kind") == "storage", where,
          "a persistent value is no storage");
  TorchStorage storage;
  set_type(storage, pickle[parts[1]]);
  storage.key = text(pickle[parts[2]], where, "a storage's key");
  storage.elements = integer(pickle[parts[4]], where, "a storage's size");
  if (parts.size() > 5 && pickle[parts[5]].kind != Kind::none) {
    const auto& view = tuple(pickle[parts[5]], 3, where);
    storage.view_offset = integer(pickle[view[1]], where, "a storage view's offset");
    storage.view_elements = integer(pickle[view[2]], where, "a storage view's size");
  }
  return storage;
}

/// Which elements of which storage a tensor has.
struct TorchTensors::Layout {
  TorchStorage storage;
  DType dtype = DType::float32;
  int64_t offset = 0;
  Shape shape;
  std::vector<int64_t> strides;
};

TorchTensors::TorchTensors(const Pickle& pickle,
                           std::function<std::span<const std::byte>(const TorchStorage&)> bytes_of,
                           std::shared_ptr<const void> owner, std::string file, size_t file_size)
    : pickle_(pickle),
      bytes_of_(std::move(bytes_of)),
      owner_(std::move(owner)),
      file_(std::move(file)),
      copies_left_(file_size + copies_beyond_file_size) {}

std::optional<StoredTensor> TorchTensors::rebuild(const std::string& name, const PickleValue& value) {
  if (value.kind != Kind::object) return std::nullopt;
  if (!makes_tensors(pickle_[value.callable]) && !refers_to_storage(value.arguments)) return std::nullopt;
  const std::string where = file_ + ": " + name + ": ";
  return tensor_of(layout_of(value, where, 0), where);
}

/// Whether a storage can be reached from an object's arguments. What an object carries as its state is not asked: a
/// learning-rate scheduler may hold tensors and is none.
bool TorchTensors::refers_to_storage(PickleIndex arguments) {
  std::vector<PickleIndex> open;
  const auto add = [&](PickleIndex index) {
    if (index != PickleValue::nothing && without_storage_.insert(index).second) open.push_back(index);
  };
  add(arguments);
  while (!open.empty()) {
    const PickleValue& next = pickle_[open.back()];
    open.pop_back();
    if (next.kind == Kind::persistent) return true;
    for (const PickleIndex item : next.items) add(item);
    add(next.arguments);
  }
  return false;
}

TorchTensors::Layout TorchTensors::layout_of(const PickleValue& value, const std::string& where, int depth) const {
  require(value.kind == Kind::object, where, "is ", printed(value), ", expected a tensor");
  require(depth < deepest_wrapping, where, "a tensor is wrapped in more than ", deepest_wrapping, " objects");
  const PickleValue& callable = pickle_[value.callable];
  const PickleValue& arguments = pickle_[value.arguments];
  if (is_rebuild(callable, "_rebuild_tensor_v2") || is_rebuild(callable, "_rebuild_tensor"))
    return plain_tensor(arguments, where, false);
  if (is_rebuild(callable, "_rebuild_tensor_v3")) return plain_tensor(arguments, where, true);
  if (is_rebuild(callable, "_rebuild_parameter") || is_rebuild(callable, "_rebuild_parameter_with_state"))
    return layout_of(pickle_[tuple(arguments, 1, where).front()], where, depth + 1);
  if (Pickle::is_global(callable, "torch._tensor", "_rebuild_from_type_v2")) {
    // (function, type, its arguments, state): a subclass of Tensor, or one with attributes of its own.
    const auto& parts = tuple(arguments, 3, where);
    PickleValue made{.kind = Kind::object};
    made.callable = parts[0];
    made.arguments = parts[2];
    return layout_of(made, where, depth + 1);
  }
  fail(where, "is made by ", printed(callable),
       ", which is not one of PyTorch's ways to store a plain tensor and is never called here; save the checkpoint "
       "again as a dict of plain tensors");
}

TorchTensors::Layout TorchTensors::plain_tensor(const PickleValue& arguments, const std::string& where,
                                                bool names_its_type) const {
  const auto& parts = tuple(arguments, names_its_type ? 7 : 4, where);
  require(pickle_[parts[0]].kind == Kind::persistent, where, "is made from ", printed(pickle_[parts[0]]),
          ", expected a storage");
  Layout layout{.storage = torch_storage(pickle_, pickle_[parts[0]], where)};
  layout.offset = integer(pickle_[parts[1]], where, "the storage offset");
  layout.shape = integers(pickle_, pickle_[parts[2]], where, "the shape");
  layout.strides = integers(pickle_, pickle_[parts[3]], where, "the strides");
  require(layout.shape.size() == layout.strides.size(), where, "has ", layout.shape.size(), " sizes and ",
          layout.strides.size(), " strides");
  auto dtype = layout.storage.dtype;
  std::string type_name = layout.storage.type_name;
  if (names_its_type) {
    const PickleValue& named = pickle_[parts[6]];
    type_name = printed(named);
    const auto found = std::ranges::find(types, named.text, &StorageType::name);
    dtype.reset();
    if (Pickle::is_global(named, "torch", named.text) && found != std::end(types)) dtype = found->dtype;
  }
  require(dtype.has_value(), where, "its element type is ", type_name,
          ", expected float64, float32, float16, bfloat16, int64, int32, int16, int8, uint8 or bool");
  layout.dtype = *dtype;
  return layout;
}

StoredTensor TorchTensors::tensor_of(const Layout& layout, const std::string& where) {
  const auto bytes = byte_count(layout.dtype, layout.shape);
  require(bytes.has_value(), where, "shape ", layout.shape, " has more elements than can be counted");
  StoredTensor tensor{.dtype = layout.dtype, .shape = layout.shape, .bytes = {}, .owner = owner_, .file = file_};
  if (*bytes == 0) return tensor;

  const std::span<const std::byte> storage = bytes_of_(layout.storage);
  const int64_t element = int64_t(size_of(layout.dtype)), stored = int64_t(storage.size()) / element;
  int64_t last = layout.offset;
  bool overflow = false;
  for (size_t axis = 0; axis < layout.shape.size(); ++axis) {
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(layout.shape[axis] - 1, layout.strides[axis], &reach);
    overflow |= __builtin_add_overflow(last, reach, &last);
  }
  require(!overflow && last < stored, where, "shape ", layout.shape, " with strides ", layout.strides, " from element ",
          layout.offset, " reaches outside its storage of ", stored, " elements");

  if (is_contiguous(layout.shape, layout.strides)) {
    tensor.bytes = storage.subspan(size_t(layout.offset * element), size_t(*bytes));
    return tensor;
  }
  const auto copy = gathered(layout, storage, *bytes, where);
  tensor.bytes = *copy;
  tensor.owner = copy;
  return tensor;
}

/// The elements of a strided tensor, in row-major order.
std::shared_ptr<std::vector<std::byte>> TorchTensors::gathered(const Layout& layout, std::span<const std::byte> storage,
                                                               int64_t bytes, const std::string& where) {
  require(size_t(bytes) <= copies_left_, where, "shape ", layout.shape, " with strides ", layout.strides,
          " would take a copy far larger than the file; save the tensor contiguous");
  copies_left_ -= size_t(bytes);
  const auto copy = std::make_shared<std::vector<std::byte>>(size_t(bytes));
  const size_t element = size_of(layout.dtype), axes = layout.shape.size();
  std::vector<int64_t> position(axes, 0);
  int64_t from = layout.offset;
  for (size_t to = 0; to < copy->size(); to += element) {
    std::memcpy(copy->data() + to, storage.data() + size_t(from) * element, element);
    for (size_t axis = axes; axis-- > 0;) {
      if (layout.shape[axis] == 1) continue;   // its stride has no meaning and may be any number
      from += layout.strides[axis];
      if (++position[axis] < layout.shape[axis]) break;
      from -= layout.strides[axis] * layout.shape[axis];
      position[axis] = 0;
    }
  }
  return copy;
}

}  // namespace pyracast
