#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace pyracast {

/// Writes a file piece by piece under a temporary name beside `path`. It is made durable as it grows, so that little is left to wait
/// for at its end, and unless publish() puts it into place nothing of it stays. All throw Error naming the file and the system's reason.
class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  /// fsync, rename, fsync of the folder: whoever sees `path` sees all that was written.
  void publish();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_;
  int64_t not_synced_ = 0;
  bool published_ = false;
};

}  // namespace pyracast
