#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pyracast {

/// Position of a value in its Pickle.
using PickleIndex = uint32_t;

/// One value of a pickle, as data. A class or function is only its name; an object is what it would have been made
/// from. Texts point into the pickle's bytes.
struct PickleValue {
  enum class Kind {
    none, boolean, integer, long_integer, real, text, bytes, list, tuple, set, dict, global, object, persistent
  };
  static constexpr PickleIndex nothing = UINT32_MAX;

  Kind kind = Kind::none;
  int64_t integer = 0;              ///< integer; boolean as 0 or 1
  double real = 0;
  std::string_view text;            ///< text, bytes; a global's name; a long integer's little-endian bytes
  std::string_view module;          ///< a global's module
  /// list, tuple, set: the elements. dict, and an object that was assigned to by key: key, value, key, value, ...
  std::vector<PickleIndex> items;
  PickleIndex callable = nothing;   ///< object: the global (or other value) that would be called
  PickleIndex arguments = nothing;  ///< object: the tuple it would be called with; persistent: its identification
  PickleIndex state = nothing;      ///< object: what would be given to __setstate__
};

/// A Python pickle (protocols 1 to 5, binary) read as data: no global is imported, nothing is called, so reading a
/// hostile file has no effect beyond memory proportional to its size. Values may refer to themselves.
class Pickle {
 public:
  /// Reads the pickle that begins at `bytes`, which must outlive this object; `where` names it in messages. Throws
  /// Error on malformed, cut or oversized pickles and on what no checkpoint needs (text protocol 0, extension
  /// registry, out-of-band buffers).
  Pickle(std::span<const std::byte> bytes, const std::string& where);

  const PickleValue& root() const { return values_[root_]; }
  const PickleValue& operator[](PickleIndex index) const { return values_[index]; }
  std::span<const PickleValue> values() const { return values_; }
  /// How many bytes the pickle took.
  size_t size() const { return size_; }

  /// Whether `value` is the global module.name.
  static bool is_global(const PickleValue& value, std::string_view module, std::string_view name) {
    return value.kind == PickleValue::Kind::global && value.module == module && value.text == name;
  }

 private:
  std::vector<PickleValue> values_;
  PickleIndex root_ = 0;
  size_t size_ = 0;
};

}  // namespace pyracast
