#include "dataset/manifest_files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"

namespace pyracast {

namespace {

constexpr size_t buffer_bytes = 1 << 18;

std::string read_at(int descriptor, const std::filesystem::path& path, uint64_t offset, size_t length) {
  std::string bytes(length, '\0');
  for (size_t have = 0; have < length;) {
    const ssize_t count = ::pread(descriptor, bytes.data() + have, length - have, off_t(offset + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_at_the_disk(path, "reading failed", errno);
    require(count > 0, path.string(), ": ends at byte ", offset + have, ", expected ", offset + length,
            " bytes; it was changed by something else");
    have += size_t(count);
  }
  return bytes;
}

}  // namespace

GrowingFile::GrowingFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(open_descriptor(path_, O_RDWR | O_CREAT | O_TRUNC)) {}

GrowingFile::~GrowingFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void GrowingFile::append(std::string_view bytes) {
  buffer_ += bytes;
  if (buffer_.size() >= buffer_bytes) flush();
}

void GrowingFile::flush() {
  for (size_t done = 0; done < buffer_.size();) {
    const ssize_t count = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_at_the_disk(path_, "writing failed", errno);
    done += size_t(count);
  }
  written_ += buffer_.size();
  buffer_.clear();
}

std::string GrowingFile::read_back(uint64_t offset, size_t length) {
  if (offset + length > written_) flush();
  return read_at(descriptor_, path_, offset, length);
}

void GrowingFile::close() {
  flush();
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0) fail_at_the_disk(path_, "closing failed", errno);
}

FileMemory::FileMemory(std::filesystem::path path, size_t bytes) {
  const int descriptor = open_descriptor(path, O_RDWR | O_CREAT);
  // Reserved before it is mapped: a full disk is an error here and would be a SIGBUS later.
  const int reserved = bytes == 0 ? 0 : ::posix_fallocate(descriptor, 0, off_t(bytes));
  void* address =
      reserved == 0 && bytes > 0 ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) : nullptr;
  const int mapping_error = address == MAP_FAILED ? errno : 0;
  ::close(descriptor);
  if (reserved != 0) fail_at_the_disk(path, concat(bytes, " bytes cannot be reserved"), reserved);
  if (mapping_error != 0) fail_at_the_disk(path, "cannot be mapped into memory", mapping_error);
  bytes_ = {static_cast<std::byte*>(address), bytes};
}

FileMemory::~FileMemory() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

ReadFile::ReadFile(std::filesystem::path path) : path_(std::move(path)), descriptor_(open_descriptor(path_, O_RDONLY)) {}

ReadFile::~ReadFile() { ::close(descriptor_); }

std::string ReadFile::read(uint64_t offset, size_t length) const { return read_at(descriptor_, path_, offset, length); }

uint64_t ReadFile::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_at_the_disk(path_, "its size is not known", errno);
  return uint64_t(status.st_size);
}

}  // namespace pyracast
