#pragma once
// How a job that runs on MPI ranks begins and ends.
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/config.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "comm/heartbeat.hpp"
#include "runtime/signals.hpp"

namespace pyracast {

/// The exit code, written to the file that the environment names, if it does: a launcher may hide it behind its own, and
/// mpirun takes its time to kill ranks that have ended with another code than 0 by themselves. Rank 0 writes.
inline int told(const Ranks& ranks, ExitCode code) {
  const char* const file = std::getenv("PYRACAST_EXIT_FILE");
  if (file && *file && ranks.rank() == 0) write_atomically(file, concat(int(code), "\n"));
  return int(code);
}

/// Reads the settings, does `run(ranks, settings)` on every rank and gives the exit code. A mistake that all ranks see alike
/// is told once; what only one sees ends the job. `deadline(settings)`: seconds without a sign of life after which a rank
/// counts as lost, more than 0.
template <class Settings, class Deadline>
int on_ranks(int argc, char** argv, Deadline deadline, ExitCode (*run)(const Ranks&, const Settings&)) {
  catch_stop_signals();
  const Ranks ranks(argc, argv);
  std::optional<Heartbeat> heartbeat;   // ends behind a mistake that all ranks tell alike
  try {
    ranks.on_first([&] { deadline(read_config<Settings>(argc, argv)); });
    const auto settings = read_config<Settings>(argc, argv);
    heartbeat.emplace(ranks, deadline(settings));
    return told(ranks, run(ranks, settings));
  } catch (const AgreedError& error) {
    if (ranks.rank() == 0) std::fprintf(stderr, "pyracast: %s\n", error.what());
    log_end(concat("with ", int(error.code), ", ", error.what()));
    return told(ranks, error.code);
  } catch (const std::exception& error) {
    const Error seen = as_error(error);
    log_end(concat("with ", int(seen.code), ", ", seen.what()));
    ranks.abort(seen.what(), int(seen.code));
  }
}

}  // namespace pyracast
