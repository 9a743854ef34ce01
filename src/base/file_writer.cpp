#include "base/file_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"
#include "base/file.hpp"

namespace pyracast {

namespace {

constexpr int64_t synced_at_once = 256 << 20;

}  // namespace

FileWriter::FileWriter(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.string() + "." + std::to_string(::getpid()) + ".tmp"),
      descriptor_(open_descriptor(temporary_, O_WRONLY | O_CREAT | O_TRUNC)) {}

FileWriter::~FileWriter() {
  ::close(descriptor_);
  std::error_code ignored;
  if (!published_) std::filesystem::remove(temporary_, ignored);
}

void FileWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_at_the_disk(temporary_, "writing failed", errno);
    bytes = bytes.subspan(size_t(written));
    if ((not_synced_ += written) < synced_at_once) continue;
    if (::fdatasync(descriptor_) != 0) fail_at_the_disk(temporary_, "fdatasync failed", errno);
    not_synced_ = 0;
  }
}

void FileWriter::publish() {
  pyracast::publish(temporary_, path_);
  published_ = true;
}

}  // namespace pyracast
