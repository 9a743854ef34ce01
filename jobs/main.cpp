#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "base/error.hpp"
#include "jobs/jobs.hpp"

namespace {

// OpenMP reads how its threads wait when its library is loaded, before main. Spinning threads of one rank would starve
// the other ranks of a node, so a program started without a choice starts itself once more with one.
void wait_passively(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY")) return;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  execv("/proc/self/exe", argv);   // comes back only where it is not possible; threads then spin
}

/// A job's exit code, once all that it printed is where it was sent: a disk may be full.
int with_output_written(int code) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    throw pyracast::Error(pyracast::concat("standard output cannot be written: ", pyracast::reason_of(errno)), pyracast::ExitCode::environment);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  wait_passively(argv);
  std::signal(SIGXFSZ, SIG_IGN);   // a file that grows beyond `ulimit -f` is an error that names it, as a full disk is
  try {
    return with_output_written(pyracast::run_job(argc, argv));
  } catch (const std::exception& error) {
    const pyracast::Error told = pyracast::as_error(error);
    std::fprintf(stderr, "pyracast: %s\n", told.what());
    return int(told.code);
  }
}
