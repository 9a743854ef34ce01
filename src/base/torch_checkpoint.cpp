// PyTorch's two checkpoint formats. Both hold a pickle of the saved object, in which each tensor names a storage, and
// the storages' bytes, little-endian:
//   zip     an archive of stored members <name>/data.pkl, <name>/data/<key>, perhaps <name>/byteorder;
//   legacy  five pickles (magic number, protocol version, system, the object, list of the storages' keys), then for
//           each key the number of elements (8 bytes) and the elements.
// The pickles are read as data (base/unpickler.hpp), so no file can make this program do anything. Storages stay in
// the mapped file; tensors that are not contiguous become copies.
#include "base/torch_checkpoint.hpp"

#include <cstring>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/torch_state_dict.hpp"
#include "base/torch_tensor.hpp"
#include "base/unpickler.hpp"
#include "base/zip_archive.hpp"

namespace pyracast {

namespace {

using Kind = PickleValue::Kind;
using Bytes = std::span<const std::byte>;
using StorageBytes = std::function<Bytes(const TorchStorage&)>;

/// The part of a stored array that belongs to `storage`; the array must be long enough.
Bytes storage_in(Bytes array, const TorchStorage& storage, const std::string& file) {
  const auto bytes_of = [&](int64_t elements) {
    int64_t bytes = 0;
    require(!__builtin_mul_overflow(elements, storage.element_bytes, &bytes) && uint64_t(bytes) <= array.size(), file,
            ": storage ", storage.key, " should have ", elements, " elements of ", storage.element_bytes,
            " bytes, but the file holds ", array.size(), " bytes of it; is the copy complete?");
    return size_t(bytes);
  };
  const Bytes whole = array.first(bytes_of(storage.elements));
  if (!storage.view_elements) return whole;
  const size_t offset = bytes_of(storage.view_offset), size = bytes_of(*storage.view_elements);
  require(offset <= whole.size() && size <= whole.size() - offset, file, ": a view of storage ", storage.key,
          " reaches outside it");
  return whole.subspan(offset, size);
}

StoredTensors tensors_of(const Pickle& pickle, const StorageBytes& bytes_of, const std::shared_ptr<const void>& owner,
                         const std::string& file, size_t file_size) {
  TorchTensors reader(pickle, bytes_of, owner, file, file_size);
  StoredTensors tensors;
  for (const auto& [name, value] : torch_state_dict(pickle, file))
    if (auto tensor = reader.rebuild(name, pickle[value])) tensors.insert_or_assign(name, std::move(*tensor));
  require(!tensors.empty(), file, ": the dict that should hold the weights holds no tensor");
  return tensors;
}

StoredTensors parse_zip(Bytes bytes, const std::shared_ptr<const void>& owner, const std::string& file) {
  const ZipArchive archive(bytes, file);
  const std::string& pickle_name = archive.name_ending_with("data.pkl");
  const std::string folder = pickle_name.substr(0, pickle_name.size() - std::strlen("data.pkl"));
  if (archive.contains(folder + "byteorder")) {
    const Bytes order = archive.member(folder + "byteorder");
    const std::string_view text(reinterpret_cast<const char*>(order.data()), order.size());
    require(text == "little", file, ": byte order is \"", text.substr(0, 20), "\", only little is supported; save the "
            "checkpoint again on a little-endian machine");
  }
  const Pickle pickle(archive.member(pickle_name), file + ": " + pickle_name);
  const auto bytes_of = [&](const TorchStorage& storage) {
    return storage_in(archive.member(folder + "data/" + storage.key), storage, file);
  };
  return tensors_of(pickle, bytes_of, owner, file, bytes.size());
}

// 0x1950a86a20f9469cfc6c in little-endian order.
constexpr std::string_view legacy_magic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t legacy_protocol = 1001;

/// The pickles of a legacy checkpoint one after the other.
class LegacyReader {
 public:
  LegacyReader(Bytes bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Pickle next(const char* what) {
    Pickle pickle(bytes_.subspan(at_), file_ + ": " + what);
    at_ += pickle.size();
    return pickle;
  }

  /// The next storage: its number of elements, then its elements.
  Bytes next_storage(const std::string& key, int64_t element_bytes) {
    require(bytes_.size() - at_ >= 8, file_, ": ends before storage ", key, "; is the copy complete?");
    int64_t elements = 0, size = 0;
    std::memcpy(&elements, bytes_.data() + at_, 8);
    at_ += 8;
    require(elements >= 0 && !__builtin_mul_overflow(elements, element_bytes, &size) &&
                uint64_t(size) <= bytes_.size() - at_,
            file_, ": storage ", key, " claims ", elements, " elements, but only ", bytes_.size() - at_,
            " bytes follow; is the copy complete?");
    at_ += size_t(size);
    return bytes_.subspan(at_ - size_t(size), size_t(size));
  }

 private:
  Bytes bytes_;
  const std::string& file_;
  size_t at_ = 0;
};

void check_legacy_header(LegacyReader& reader, const std::string& file) {
  const Pickle magic = reader.next("magic number");
  require(magic.root().kind == Kind::long_integer && magic.root().text == legacy_magic, file,
          ": is no PyTorch checkpoint (the magic number is missing); expected a file written by torch.save");
  const Pickle protocol = reader.next("protocol version");
  require(protocol.root().kind == Kind::integer && protocol.root().integer == legacy_protocol, file,
          ": the checkpoint's protocol version is not ", legacy_protocol);
  const Pickle system = reader.next("system information");
  const auto& items = system.root().items;
  for (size_t i = 0; i + 1 < items.size(); i += 2)
    require(system[items[i]].text != "little_endian" || system[items[i + 1]].integer == 1, file,
            ": was written on a big-endian machine, which is not supported");
}

/// Bytes an element of each storage takes, by key, from every storage that the pickle mentions.
std::map<std::string, int64_t> element_bytes_by_key(const Pickle& pickle, const std::string& file) {
  std::map<std::string, int64_t> sizes;
  for (const PickleValue& value : pickle.values()) {
    if (value.kind != Kind::persistent) continue;
    const TorchStorage storage = torch_storage(pickle, value, file + ": ");
    require(storage.element_bytes > 0, file, ": storage ", storage.key, " is a ",
            storage.type_name, ", whose element size is not known, so that what follows it cannot be found");
    const auto [known, is_new] = sizes.emplace(storage.key, storage.element_bytes);
    require(is_new || known->second == storage.element_bytes, file, ": storage ", storage.key,
            " is used with two element sizes");
  }
  return sizes;
}

StoredTensors parse_legacy(Bytes bytes, const std::shared_ptr<const void>& owner, const std::string& file) {
  LegacyReader reader(bytes, file);
  check_legacy_header(reader, file);
  const Pickle pickle = reader.next("saved object");
  const Pickle keys = reader.next("storage keys");
  const auto element_bytes = element_bytes_by_key(pickle, file);
  std::map<std::string, Bytes> storages;
  for (const PickleIndex index : keys.root().items) {
    const std::string key(keys[index].text);
    const auto known = element_bytes.find(key);
    require(known != element_bytes.end(), file, ": storage ", key, " is stored but not used by the saved object");
    require(storages.emplace(key, reader.next_storage(key, known->second)).second, file, ": storage ", key,
            " is stored twice");
  }
  const auto bytes_of = [&](const TorchStorage& storage) {
    const auto found = storages.find(storage.key);
    require(found != storages.end(), file, ": storage ", storage.key, " is used but not stored");
    return storage_in(found->second, storage, file);
  };
  return tensors_of(pickle, bytes_of, owner, file, bytes.size());
}

}  // namespace

StoredTensors parse_torch_checkpoint(Bytes bytes, const std::shared_ptr<const void>& owner, const std::string& file) {
  return ZipArchive::recognises(bytes) ? parse_zip(bytes, owner, file) : parse_legacy(bytes, owner, file);
}

StoredTensors read_torch_checkpoint(const std::filesystem::path& path) {
  const auto mapping = std::make_shared<const MappedFile>(path);
  return parse_torch_checkpoint(mapping->bytes(), mapping, path.string());
}

}  // namespace pyracast
