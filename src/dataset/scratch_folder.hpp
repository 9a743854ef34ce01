#pragma once
#include <filesystem>

namespace pyracast {

/// A folder for files that nobody is to keep; it goes with the object.
class ScratchFolder {
 public:
  /// In `parent`, which exists; else where the system keeps temporary files.
  explicit ScratchFolder(const std::filesystem::path& parent = std::filesystem::temp_directory_path());
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace pyracast
