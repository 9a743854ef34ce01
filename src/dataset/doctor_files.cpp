#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/stopwatch.hpp"
#include "dataset/child_process.hpp"
#include "dataset/doctor.hpp"
#include "dataset/folder_lock.hpp"
#include "dataset/manifest_files.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// What `act` complains of; empty: nothing.
template <class Act>
std::string complaint(Act act) {
  try {
    act();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

class FileSystem {
 public:
  FileSystem(const Ranks& ranks, const fs::path& folder) : ranks_(ranks), given_(folder), folder_(folder / ".pyracast-doctor") {}

  std::vector<Examination> operator()() {
    std::vector<Examination> all;
    all.push_back(is_seen_by_all());
    if (everywhere(all[0].yes)) {
      all.push_back(renames_atomically());
      all.push_back(syncs());
      all.push_back(keeps_locks());
      all.push_back(maps_files());
    }
    all.push_back(has_space());
    barrier();
    if (ranks_.rank() == 0) complaint([&] { fs::remove_all(folder_); });
    return all;
  }

 private:
  const Ranks& ranks_;
  fs::path given_, folder_;

  void barrier() const { check_mpi(MPI_Barrier(ranks_.world()), "waiting for the others"); }
  bool everywhere(bool yes) const {
    int all = yes;
    check_mpi(MPI_Bcast(&all, 1, MPI_INT, 0, ranks_.world()), "telling the others");   // rank 0 knows the answer of all
    return all != 0;
  }

  Examination is_seen_by_all() const {
    const fs::path file = folder_ / "seen";
    std::string wrong;
    if (ranks_.rank() == 0)
      wrong = complaint([&] {
        fs::remove_all(folder_);
        fs::create_directories(folder_ / "work");
        write_atomically(file, "pyracast");
      });
    barrier();
    const Stopwatch waited;
    while (wrong.empty() && !fs::exists(file) && waited.seconds() < 60) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (wrong.empty()) wrong = complaint([&] { require(read_file(file) == "pyracast", file.string(), ": holds something else"); });
    return agreed(ranks_, "the folder can be written and is seen by all ranks", wrong.empty(),
                  wrong.empty() ? concat(given_.string(), ", seen after ", waited.seconds(), " s") : wrong,
                  "use a folder that you may write to, on a file system that all nodes mount under the same path");
  }

  /// While rank 0 renames one file after the other over a name, everyone reads it: never nothing, never a half.
  Examination renames_atomically() const {
    constexpr size_t size = 64 << 10;
    const fs::path file = folder_ / "renamed";
    const auto content = [](int round) { return std::string(size, char('a' + round % 26)); };
    if (ranks_.rank() == 0) write_atomically(file, content(0));
    barrier();
    std::atomic<bool> over = false;
    std::string wrong;
    uint64_t reads = 0;
    const auto read = [&] {
      for (; !over && wrong.empty(); ++reads)
        wrong = complaint([&] {
          const std::string text = read_file(file);
          require(text.size() == size && text.find_first_not_of(text[0]) == std::string::npos, "a reader saw ", text.size(),
                  " bytes of ", size,
                  ", not all of one file");
        });
    };
    std::thread reader(read);
    std::string failure;
    if (ranks_.rank() == 0)
      failure = complaint([&] {
        for (int round = 1; round <= 50; ++round) write_atomically(file, content(round));
      });
    barrier();
    over = true;
    reader.join();
    if (wrong.empty()) wrong = failure;
    return agreed(ranks_, "a rename is atomic", wrong.empty(), 
                  wrong.empty() ? concat("50 renames, ", reads, " whole reads on this rank") : wrong,
                  "use another file system: shards and index are published by rename");
  }

  Examination syncs() const {
    constexpr int rounds = 10;
    const Stopwatch watch;
    const std::string wrong = complaint([&] {
      for (int round = 0; round < rounds; ++round) write_atomically(folder_ / concat("synced-", ranks_.rank()), "x");
    });
    const double milliseconds = watch.seconds() / rounds * 1000;
    return agreed(ranks_, "fsync works on files and folders", wrong.empty(),
                  wrong.empty() ? concat(milliseconds, " ms for a small file, ", ranks_.size(), " ranks at a time") : wrong,
                  "use another file system: nothing is durable on this one");
  }

  /// Rank 0 holds a lock that nobody else may get; with one rank, a child process tries.
  Examination keeps_locks() const {
    std::string wrong;
    std::optional<FolderLock> lock;
    if (ranks_.rank() == 0) wrong = complaint([&] { lock.emplace(folder_); });
    barrier();
    const auto try_it = [&] {
      const std::string refused = complaint([&] { const FolderLock second(folder_); });
      require(!refused.empty(), "a second process got the lock as well");
      require(refused.find("in use") != std::string::npos, refused);
      return std::string();
    };
    if (ranks_.rank() != 0) wrong = complaint(try_it);
    else if (ranks_.size() == 1 && wrong.empty()) wrong = complaint([&] { in_child_process(try_it); });
    barrier();
    const char* where = ranks_.node_count() > 1 ? "also between nodes" : "on one node; start this on two to see it between nodes";
    return agreed(ranks_, "locks are kept between processes", wrong.empty(), wrong.empty() ? where : wrong,
                  "mount with locks (NFS: without nolock; Lustre: -o flock): else two jobs could write into one folder");
  }

  Examination maps_files() const {
    const std::string wrong = complaint([&] {
      const FileMemory memory(folder_ / concat("mapped-", ranks_.rank()), 1 << 20);
      memory.bytes()[12345] = std::byte(7);
    });
    return agreed(ranks_, "files can be reserved and mapped", wrong.empty(), wrong.empty() ? "1 MiB" : wrong,
                  "use another file system for the output folder: the manifest's index is a mapped file");
  }

  Examination has_space() const {
    struct statvfs space {};
    const bool known = ::statvfs(given_.c_str(), &space) == 0;
    const double gibibytes = double(space.f_bavail) * double(space.f_frsize) / (1 << 30);
    const bool counts_files = space.f_files > 0;   // some file systems have no such limit, and say 0
    return agreed(ranks_, "there is space", known && gibibytes >= 1 && (!counts_files || space.f_favail >= 10000),
                  known ? concat(gibibytes, " GiB", counts_files ? concat(", ", space.f_favail, " files") : "") : std::strerror(errno),
                  "free some, or use another folder: a sample takes its MP4 and what --save keeps, and one file");
  }
};

}  // namespace

std::vector<Examination> examine_file_system(const Ranks& ranks, const fs::path& folder) { return FileSystem(ranks, folder)(); }

}  // namespace pyracast
