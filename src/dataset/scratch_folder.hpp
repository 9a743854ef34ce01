#pragma once
#include <filesystem>

namespace pyracast {

/// A folder for files that nobody is to keep; it goes with the object.
class ScratchFolder {
 public:
  /// In `parent`, which exists; if empty, where the system keeps temporary files. Throws Error (of the environment) where none can be made.
  explicit ScratchFolder(std::filesystem::path parent = {});
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace pyracast
