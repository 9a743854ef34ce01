#include "dataset/folder_lock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/error.hpp"
#include "dataset/layout.hpp"

namespace pyracast {

namespace {

std::filesystem::path lock_file(const std::filesystem::path& folder) { return OutputLayout{folder}.work() / "lock"; }

// A POSIX record lock: it is honoured across the nodes of a shared file system and ends with its process.
struct flock whole_file() {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return whole;
}

std::string owner_in(int descriptor) {
  char owner[256] = {};
  const ssize_t read = ::pread(descriptor, owner, sizeof owner - 1, 0);
  return read > 0 ? owner : "another process";
}

std::string this_process() {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  return concat("process ", ::getpid(), " on ", host);
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder, std::chrono::seconds patience, const std::function<bool()>& give_up) {
  const auto path = lock_file(folder);
  const auto fail_with = [&](const std::string& message) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw Error(message, ExitCode::environment);
  };
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_with(concat(path.string(), ": cannot be opened: ", reason_of(errno)));
  struct flock whole = whole_file();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::fcntl(descriptor_, F_SETLK, &whole) != 0) {
    if ((errno != EACCES && errno != EAGAIN) || std::chrono::steady_clock::now() >= deadline || (give_up && give_up())) {
      const std::string why = std::strerror(errno);
      fail_with(concat(folder.string(), ": is in use by ", owner_in(descriptor_), " (", why,
                       "); wait for it, or use another --output"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  const std::string owner = this_process();
  if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, owner.data(), owner.size(), 0) < 0)
    fail_with(concat(path.string(), ": cannot be written: ", reason_of(errno)));
}

FolderLock::~FolderLock() { ::close(descriptor_); }

std::optional<std::string> holder_of_lock(const std::filesystem::path& folder) {
  const auto path = lock_file(folder);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;   // nothing was ever made here
  struct flock found = whole_file();
  std::optional<std::string> holder;
  if (::fcntl(descriptor, F_GETLK, &found) == 0 && found.l_type != F_UNLCK) holder = owner_in(descriptor);
  ::close(descriptor);
  return holder;
}

}  // namespace pyracast
