#include "dataset/doctor.hpp"

#include <sched.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <ctime>

#include "base/error.hpp"

namespace pyracast {

namespace {

double clock_now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string time_text(double seconds) {
  const auto whole = std::time_t(seconds);
  std::tm utc{};
  ::gmtime_r(&whole, &utc);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc);
  return text;
}

Examination examine_threads(const Ranks& ranks) {
  int level = 0;
  check_mpi(MPI_Query_thread(&level), "asking for the thread level");
  char library[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  check_mpi(MPI_Get_library_version(library, &length), "asking for MPI's version");
  const std::string name = std::string(library, size_t(length)).substr(0, std::string(library, size_t(length)).find_first_of(",\n"));
  return agreed(ranks, "MPI serves several threads", level == MPI_THREAD_MULTIPLE,
                concat(name, ", thread level ", level, ", ", ranks.size(), " ranks on ", ranks.node_count(), " nodes"),
                "use an MPI that was built with MPI_THREAD_MULTIPLE");
}

/// Each rank writes its number where all ranks of its node read it.
Examination examine_shared_memory(const Ranks& ranks) {
  struct statvfs space {};
  const bool there = ::statvfs("/dev/shm", &space) == 0;
  const double mebibytes = there ? double(space.f_bavail) * double(space.f_frsize) / (1 << 20) : 0;
  int* mine = nullptr;
  MPI_Win window = MPI_WIN_NULL;
  bool shared = MPI_Win_allocate_shared(sizeof(int), sizeof(int), MPI_INFO_NULL, ranks.node(), &mine, &window) == MPI_SUCCESS;
  if (shared) {
    MPI_Win_lock_all(0, window);
    *mine = 1000 + ranks.node().rank();
    MPI_Win_sync(window);
    MPI_Barrier(ranks.node());
    MPI_Win_sync(window);
    for (int other = 0; other < ranks.node().size(); ++other) {
      MPI_Aint size = 0;
      int unit = 0, *theirs = nullptr;
      shared = shared && MPI_Win_shared_query(window, other, &size, &unit, &theirs) == MPI_SUCCESS && *theirs == 1000 + other;
    }
    MPI_Win_unlock_all(window);
    MPI_Win_free(&window);
  }
  return agreed(ranks, "ranks of a node share memory", shared && there && mebibytes >= 64,
                concat(ranks.node().size(), " ranks on ", ranks.node_name(), shared ? " share" : " do not share",
                       " memory; /dev/shm has ",
                       int64_t(mebibytes), " MiB free"),
                "give the node (or container) a larger /dev/shm, e.g. --shm-size=1g, and remove what killed jobs left there");
}

/// How far this rank's clock is ahead of rank 0's: of several exchanges the quickest, half of it there and half back.
double clock_ahead(const Ranks& ranks, int rank) {
  double best = 0, quickest = 1e9;
  for (int round = 0; round < 5; ++round) {
    double theirs = 0;
    if (ranks.rank() == 0) {
      const double sent = clock_now();
      check_mpi(MPI_Send(&sent, 1, MPI_DOUBLE, rank, 0, ranks.world()), "comparing clocks");
      check_mpi(MPI_Recv(&theirs, 1, MPI_DOUBLE, rank, 0, ranks.world(), MPI_STATUS_IGNORE), "comparing clocks");
      const double received = clock_now();
      if (received - sent < quickest) quickest = received - sent, best = theirs - (sent + received) / 2;
    } else {
      check_mpi(MPI_Recv(&theirs, 1, MPI_DOUBLE, 0, 0, ranks.world(), MPI_STATUS_IGNORE), "comparing clocks");
      const double own = clock_now();
      check_mpi(MPI_Send(&own, 1, MPI_DOUBLE, 0, 0, ranks.world()), "comparing clocks");
    }
  }
  return best;
}

Examination examine_clocks(const Ranks& ranks) {
  constexpr double year_2024 = 1704067200, most = 1;
  double worst = 0;
  int of_rank = 0;
  for (int rank = 1; rank < ranks.size(); ++rank) {
    if (ranks.rank() != 0 && ranks.rank() != rank) continue;
    const double ahead = clock_ahead(ranks, rank);
    if (ranks.rank() == 0 && std::abs(ahead) > std::abs(worst)) worst = ahead, of_rank = rank;
  }
  return agreed(ranks, "clocks agree", std::abs(worst) < most && clock_now() > year_2024,
                concat("it is ", time_text(clock_now()), 
                       of_rank ? concat("; rank ", of_rank, " is ahead of rank 0 by the most, ", worst, " s") : ""),
                "let the nodes keep time by NTP or chrony: the provenance and status of samples go by the clock");
}

/// AVX2 and AVX-512 give the same bits; the portable kernels do not.
Examination examine_processors(const Ranks& ranks) {
  const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), avx512 = avx2 && __builtin_cpu_supports("avx512f"),
            vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  int least = avx2, most = avx2;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_INT, MPI_MIN, ranks.world()), "comparing processors");
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_INT, MPI_MAX, ranks.world()), "comparing processors");
  cpu_set_t bound;
  CPU_ZERO(&bound);
  ::sched_getaffinity(0, sizeof bound, &bound);
  return agreed(ranks, "all processors give the same bits", least == most,
                concat(vnni ? "AVX-512 with VNNI" : avx512 ? "AVX-512" : avx2 ? "AVX2" : "neither AVX2 nor AVX-512 (slow)", ", ", CPU_COUNT(&bound),
                       " cores for a rank"),
                "use nodes of one kind, or pin the kernels: --cpu-isa portable");
}

}  // namespace

Examination agreed(const Ranks& ranks, const std::string& question, bool yes, const std::string& found, const std::string& advice) {
  struct Answer {
    int yes;
    char found[400];
  } own{yes, {}};
  const std::string text = ranks.rank() == 0 || yes ? found : concat("rank ", ranks.rank(), " on ", ranks.node_name(), ": ", found);
  std::strncpy(own.found, text.c_str(), sizeof own.found - 1);
  std::vector<Answer> answers(size_t(ranks.size()));
  check_mpi(MPI_Gather(&own, sizeof own, MPI_BYTE, answers.data(), sizeof own, MPI_BYTE, 0, ranks.world()), "gathering answers");
  if (ranks.rank() != 0) return {question, yes, "", advice};
  const auto first_no = std::find_if(answers.begin(), answers.end(), [](const Answer& a) { return !a.yes; });
  const bool all = first_no == answers.end();
  return {question, all, all ? answers[0].found : first_no->found, advice};
}

std::vector<Examination> examine_machines(const Ranks& ranks) {
  std::vector<Examination> all;
  all.push_back(examine_threads(ranks));
  all.push_back(examine_shared_memory(ranks));
  all.push_back(examine_clocks(ranks));
  all.push_back(examine_processors(ranks));
  return all;
}

}  // namespace pyracast
