#pragma once
#include <functional>
#include <optional>
#include <set>

#include "base/unpickler.hpp"
#include "base/weight_file.hpp"

namespace pyracast {

/// What a pickle says of a storage, a flat array that tensors view: torch.FloatStorage, "12", 4096 elements.
struct TorchStorage {
  std::optional<DType> dtype;            ///< nothing for an untyped storage (elements are bytes) and other types
  std::string type_name;                 ///< the class as written, for messages
  std::string key;                       ///< names the storage within the checkpoint
  int64_t elements = 0;
  int64_t element_bytes = 0;             ///< 0 where the type is unknown
  int64_t view_offset = 0;               ///< legacy format: elements of the stored array in front of this storage
  std::optional<int64_t> view_elements;  ///< legacy format: set when this storage is part of a stored array
};

/// Reads ('storage', class, key, location, elements[, view]), the identification of a storage. Throws Error naming
/// `where` when it is something else.
TorchStorage torch_storage(const Pickle& pickle, const PickleValue& persistent, const std::string& where);

/// Turns the objects of a checkpoint's pickle that are tensors into tensors. The functions that PyTorch would call
/// (torch._utils._rebuild_tensor_v2 and its kin) are recognised by name and carried out here.
class TorchTensors {
 public:
  /// `bytes_of(storage)` gives the stored array with that key; `owner` keeps those bytes alive.
  TorchTensors(const Pickle& pickle, std::function<std::span<const std::byte>(const TorchStorage&)> bytes_of,
               std::shared_ptr<const void> owner, std::string file, size_t file_size);

  /// The tensor that `value` describes; nothing when it is not made from tensor data. Throws Error naming `name` when
  /// it is, but in a way not known here, or when it reaches outside its storage. The bytes may be unaligned.
  std::optional<StoredTensor> rebuild(const std::string& name, const PickleValue& value);

 private:
  struct Layout;

  bool refers_to_storage(PickleIndex arguments);
  Layout layout_of(const PickleValue& value, const std::string& where, int depth) const;
  Layout plain_tensor(const PickleValue& arguments, const std::string& where, bool names_its_type) const;
  StoredTensor tensor_of(const Layout& layout, const std::string& where);
  std::shared_ptr<std::vector<std::byte>> gathered(const Layout& layout, std::span<const std::byte> storage,
                                                   int64_t bytes, const std::string& where);

  const Pickle& pickle_;
  std::function<std::span<const std::byte>(const TorchStorage&)> bytes_of_;
  std::shared_ptr<const void> owner_;
  std::string file_;
  size_t copies_left_;                   ///< bytes that copies of strided tensors may still take
  std::set<PickleIndex> without_storage_;   ///< values searched already; finding a storage ends in an Error
};

}  // namespace pyracast
