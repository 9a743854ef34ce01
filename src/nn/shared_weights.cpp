#include "nn/shared_weights.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"

// What is laid down: the blocks, each from a page's beginning; a JSON object, name -> [offset, bytes]; its length in 8 bytes.

namespace pyracast {

namespace {

/// Name -> offset in the file and bytes.
using Directory = std::map<std::string, std::array<uint64_t, 2>>;

[[noreturn]] void fail_at_memory(std::string_view what) {
  throw Error(concat("weights cannot be shared by the ranks of the node: ", what, ": ", std::strerror(errno)), ExitCode::environment);
}

}  // namespace

struct LaidDownWeights::Contents {
  int descriptor = -1;
  size_t end = 0, bytes = 0;   // of the file; of the blocks
  Directory directory;

  ~Contents() {
    if (descriptor >= 0) ::close(descriptor);
  }

  void append(const void* data, size_t count) {
    for (const auto* from = static_cast<const char*>(data); count > 0;) {
      const ssize_t written = ::pwrite(descriptor, from, count, off_t(end));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail_at_memory("writing failed");
      from += written;
      count -= size_t(written);
      end += size_t(written);
    }
  }
};

LaidDownWeights::LaidDownWeights() : contents_(std::make_unique<Contents>()) {
  contents_->descriptor = ::memfd_create("pyracast-weights", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (contents_->descriptor < 0) fail_at_memory("no memory file");
}

LaidDownWeights::~LaidDownWeights() = default;

WeightBlock LaidDownWeights::at(const std::string& name, const std::function<WeightBlock()>& make) {
  Contents& c = *contents_;
  require(!c.directory.contains(name), "weights are laid down twice: ", name);
  const auto page = size_t(::sysconf(_SC_PAGESIZE));
  const size_t offset = c.end = (c.end + page - 1) / page * page;
  const WeightBlock made = make();
  c.append(made.data.get(), made.bytes);
  c.directory[name] = {uint64_t(offset), uint64_t(made.bytes)};
  c.bytes += made.bytes;
  if (made.bytes == 0) return made;
  void* mapped = ::mmap(nullptr, made.bytes, PROT_READ, MAP_SHARED, c.descriptor, off_t(offset));
  if (mapped == MAP_FAILED) fail_at_memory("mapping failed");
  return {{mapped, [bytes = made.bytes](void* block) { ::munmap(block, bytes); }}, made.bytes};
}

std::string LaidDownWeights::publish() {
  Contents& c = *contents_;
  const std::string directory = Json(c.directory).dump();
  const uint64_t length = directory.size();
  c.append(directory.data(), length);
  c.append(&length, sizeof length);
  if (::fcntl(c.descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) fail_at_memory("sealing failed");
  return concat("/proc/", ::getpid(), "/fd/", c.descriptor);
}

size_t LaidDownWeights::bytes() const { return contents_->bytes; }

struct FoundWeights::Contents {
  explicit Contents(const std::string& path) : file(path) {}
  MappedFile file;
  Directory directory;
};

FoundWeights::FoundWeights(const std::string& path) {
  const auto contents = std::make_shared<Contents>(path);
  const auto bytes = contents->file.bytes();
  uint64_t length = 0;
  const bool has_length = bytes.size() >= sizeof length;
  if (has_length) std::memcpy(&length, bytes.data() + bytes.size() - sizeof length, sizeof length);
  require(has_length && length <= bytes.size() - sizeof length, path, ": not weights that another process has laid down");
  const auto* end = reinterpret_cast<const char*>(bytes.data()) + bytes.size() - sizeof length;
  try {
    contents->directory = Json::parse(end - length, end).get<Directory>();
  } catch (const Json::exception& error) {
    fail(path, ": not weights that another process has laid down: ", error.what());
  }
  for (const auto& [name, place] : contents->directory)
    require(place[0] <= bytes.size() && place[1] <= bytes.size() - place[0], path, ": ", name, " lies beyond its end");
  contents_ = contents;
}

WeightBlock FoundWeights::at(const std::string& name, const std::function<WeightBlock()>& make) {
  const auto place = contents_->directory.find(name);
  if (place == contents_->directory.end()) return make();
  // Nobody writes to weights; the mapping would not let them.
  auto* data = const_cast<std::byte*>(contents_->file.bytes().data()) + place->second[0];
  return {std::shared_ptr<void>(contents_, data), place->second[1]};
}

WeightBlock PlannedWeights::at(const std::string&, const std::function<WeightBlock()>& make) {
  static char nowhere;
  const size_t bytes = finds_ ? 0 : make().bytes;
  bytes_ += bytes;
  return {{std::shared_ptr<void>(), &nowhere}, bytes};
}

}  // namespace pyracast
