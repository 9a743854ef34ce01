#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace pyracast {

/// The right to write into a dataset's folder: one process has it at a time, on whichever node, and it ends with the
/// process, however that ends.
class FolderLock {
 public:
  /// Waits so long for another process to let go, or until `give_up` says so; then throws Error naming its host and
  /// number. The folder must have a folder work/.
  explicit FolderLock(const std::filesystem::path& folder, std::chrono::seconds patience = std::chrono::seconds(0),
                      const std::function<bool()>& give_up = {});
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// Who has the lock of the folder: "process 12 on host"; nothing where nobody has. Takes nothing and writes nothing. Not to
/// be asked by the process that has it: a POSIX lock goes when its process closes any descriptor of the file.
std::optional<std::string> holder_of_lock(const std::filesystem::path& folder);

}  // namespace pyracast
