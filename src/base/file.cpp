#include "base/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"
#include "base/file_writer.hpp"
#include "base/sha256.hpp"

namespace pyracast {

namespace {

/// An open file descriptor, closed on destruction.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags) : value_(open_descriptor(path, flags)) {}
  ~Descriptor() { ::close(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return value_; }

 private:
  int value_;
};

void write_all(int descriptor, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_at_the_disk(path, "writing failed", errno);
    content.remove_prefix(size_t(written));
  }
}

void sync(const std::filesystem::path& path, int flags) {
  const Descriptor descriptor(path, flags);
  if (::fsync(descriptor) != 0) fail_at_the_disk(path, "fsync failed", errno);
}

}  // namespace

void fail_at_the_disk(const std::filesystem::path& path, std::string_view what, int error) {
  throw Error(concat(path.string(), ": ", what, ": ", reason_of(error)), ExitCode::environment);
}

int open_descriptor(const std::filesystem::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (descriptor >= 0) return descriptor;
  const int error = errno;
  const bool to_read = (flags & (O_WRONLY | O_RDWR | O_CREAT)) == 0;
  for (const int of_the_path : {ENOENT, ENOTDIR, EISDIR, EACCES, EPERM, ENAMETOOLONG, ELOOP})
    if (to_read && error == of_the_path) fail(path.string(), ": cannot be opened: ", reason_of(error));
  fail_at_the_disk(path, "cannot be opened", error);
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor descriptor(path, O_RDONLY);
  struct stat status {};
  require(::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode), path.string(), ": is not a regular file");
  if (status.st_size == 0) return;
  void* address = ::mmap(nullptr, size_t(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
  require(address != MAP_FAILED, path.string(), ": cannot be mapped into memory: ", reason_of(errno));
  bytes_ = {static_cast<const std::byte*>(address), size_t(status.st_size)};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::string read_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void publish(const std::filesystem::path& temporary, const std::filesystem::path& path) {
  sync(temporary, O_RDONLY);
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) fail_at_the_disk(temporary, concat("cannot be renamed to ", path.string()), error.value());
  sync_folder(path.parent_path());
}

void sync_folder(const std::filesystem::path& folder) {
  sync(folder.empty() ? std::filesystem::path(".") : folder, O_RDONLY | O_DIRECTORY);
}

void append_to_file(const std::filesystem::path& path, std::string_view content) {
  write_all(Descriptor(path, O_WRONLY | O_APPEND), content, path);
}

void write_atomically(const std::filesystem::path& path, std::string_view content) {
  FileWriter file(path);
  file.write(std::as_bytes(std::span(content)));
  file.publish();
}

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.hexadecimal();
}

std::string sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

std::string sha256_of_file(const std::filesystem::path& path) { return sha256(MappedFile(path).bytes()); }

}  // namespace pyracast
