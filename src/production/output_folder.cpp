#include "production/output_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.hpp"
#include "base/file.hpp"
#include "dataset/layout.hpp"
#include "runtime/signals.hpp"

namespace pyracast {

namespace {

// POSIX record locks: they are honoured across the nodes of a shared file system and end with their process. Rank r holds
// byte r of the file; who begins must get all of them first.
struct flock lock_of(short type, off_t first, off_t count) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = count;   // 0: all that follow
  return lock;
}

/// Who holds the folder, as far as that can be seen: the file's text, and the process that the system names.
std::string holder(int descriptor) {
  char owner[256] = {};
  const ssize_t read = ::pread(descriptor, owner, sizeof owner - 1, 0);
  std::string text = read > 0 ? owner : "another job";
  struct flock held = lock_of(F_WRLCK, 0, 0);
  if (::fcntl(descriptor, F_GETLK, &held) == 0 && held.l_type != F_UNLCK && held.l_start > 0)
    text += concat(", whose rank ", held.l_start, " lives on as process ", held.l_pid);
  return text;
}

}  // namespace

OutputFolder::OutputFolder(const Ranks& ranks, const std::filesystem::path& folder, const std::vector<std::filesystem::path>& given) {
  require(!folder.empty(), "where to write is not known: give --output DIR");
  ranks.on_first([&] {
    check_free_for_dataset(folder, given);
    make_folder(folder);
    for (const char* part : {"work", "logs", "videos", "shards"}) make_folder(folder / part);
    lock_all(ranks, folder);
  });
  share(ranks, folder);
}

OutputFolder::~OutputFolder() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFolder::lock_all(const Ranks& ranks, const std::filesystem::path& folder) {
  const auto path = folder / "work" / "lock";
  descriptor_ = open_descriptor(path, O_RDWR | O_CREAT);
  struct flock all = lock_of(F_WRLCK, 0, 0);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (::fcntl(descriptor_, F_SETLK, &all) != 0) {
    const int error = errno;
    if ((error != EACCES && error != EAGAIN) || std::chrono::steady_clock::now() > deadline || asked_to_stop())
      throw Error(concat(folder.string(), ": is in use by ", holder(descriptor_), " (", std::strerror(error),
                         "); wait for it, or use another --output"), ExitCode::environment);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  const std::string owner = concat("process ", ::getpid(), " on ", ranks.node_name());
  if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, owner.data(), owner.size(), 0) < 0)
    fail_at_the_disk(path, "cannot be written", errno);
}

/// Leaves each rank its byte. Byte 0 is held throughout, so that no other job comes in between.
void OutputFolder::share(const Ranks& ranks, const std::filesystem::path& folder) {
  const auto path = folder / "work" / "lock";
  if (ranks.rank() == 0) {
    struct flock others = lock_of(F_UNLCK, 1, 0);
    if (::fcntl(descriptor_, F_SETLK, &others) != 0) fail_at_the_disk(path, "cannot be shared with the other ranks", errno);
  }
  ranks.on_first([] {});   // not before rank 0 has let go
  if (ranks.rank() == 0) return;
  descriptor_ = open_descriptor(path, O_RDWR);
  struct flock own = lock_of(F_WRLCK, ranks.rank(), 1);
  if (::fcntl(descriptor_, F_SETLKW, &own) != 0) fail_at_the_disk(path, "cannot be locked", errno);
}

}  // namespace pyracast
