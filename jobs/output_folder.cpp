#include "jobs/output_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.hpp"
#include "jobs/signals.hpp"

namespace pyracast {

OutputFolder::OutputFolder(const Ranks& ranks, const std::filesystem::path& folder) {
  require(!folder.empty(), "where to write is not known: give --output DIR");
  ranks.on_first([&] {
    std::error_code error;
    for (const char* part : {"", "work", "logs", "videos", "shards"}) {
      std::filesystem::create_directories(folder / part, error);
      if (error) throw Error(concat((folder / part).string(), ": cannot be made: ", error.message()), ExitCode::environment);
    }
    lock(ranks, folder);
  });
}

OutputFolder::~OutputFolder() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

// A POSIX record lock: it is honoured across the nodes of a shared file system and ends with its process.
void OutputFolder::lock(const Ranks& ranks, const std::filesystem::path& folder) {
  const auto path = folder / "work" / "lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  require(descriptor_ >= 0, path.string(), ": cannot be opened: ", std::strerror(errno));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (::fcntl(descriptor_, F_SETLK, &whole) != 0) {
    if ((errno != EACCES && errno != EAGAIN) || std::chrono::steady_clock::now() > deadline || asked_to_stop()) {
      char owner[256] = {};
      const ssize_t read = ::pread(descriptor_, owner, sizeof owner - 1, 0);
      throw Error(concat(folder.string(), ": is in use by ", read > 0 ? owner : "another job",
                                                    " (", std::strerror(errno), "); wait for it, or use another --output"), ExitCode::environment);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  const std::string owner = concat("process ", ::getpid(), " on ", ranks.node_name());
  if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, owner.data(), owner.size(), 0) < 0)
    throw Error(concat(path.string(), ": cannot be written: ", std::strerror(errno)), ExitCode::environment);
}

}  // namespace pyracast
