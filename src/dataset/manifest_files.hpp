#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace pyracast {

/// A file written from its start to its end, of which parts can be read back meanwhile. Throws Error with the path and
/// the system's reason where writing fails.
class GrowingFile {
 public:
  explicit GrowingFile(std::filesystem::path path);
  ~GrowingFile();
  GrowingFile(const GrowingFile&) = delete;
  GrowingFile& operator=(const GrowingFile&) = delete;

  void append(std::string_view bytes);
  std::string read_back(uint64_t offset, size_t length);
  uint64_t size() const { return written_ + buffer_.size(); }

  /// Hands everything to the system and closes.
  void close();

  const std::filesystem::path& path() const { return path_; }

 private:
  void flush();

  std::filesystem::path path_;
  int descriptor_;
  uint64_t written_ = 0;
  std::string buffer_;
};

/// A file mapped for reading and writing, its space reserved on the disk: memory that the system can give back at any
/// time. The file grows to `bytes`, zeros where there was nothing.
class FileMemory {
 public:
  FileMemory(std::filesystem::path path, size_t bytes);
  ~FileMemory();
  FileMemory(const FileMemory&) = delete;
  FileMemory& operator=(const FileMemory&) = delete;
  std::span<std::byte> bytes() const { return bytes_; }

  template <class T>
  std::span<T> as(size_t offset, size_t count) const {
    return {reinterpret_cast<T*>(bytes_.data() + offset), count};
  }

 private:
  std::span<std::byte> bytes_;
};

/// A file read in parts from wherever, by any thread; what was read is not kept.
class ReadFile {
 public:
  explicit ReadFile(std::filesystem::path path);
  ~ReadFile();
  ReadFile(const ReadFile&) = delete;
  ReadFile& operator=(const ReadFile&) = delete;
  std::string read(uint64_t offset, size_t length) const;
  uint64_t size() const;

 private:
  std::filesystem::path path_;
  int descriptor_;
};

}  // namespace pyracast
