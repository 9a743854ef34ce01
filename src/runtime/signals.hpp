#pragma once
#include <string>
#include <vector>

namespace pyracast {

/// Catches INT, TERM, USR1 and USR2 from here on: each asks the job to stop cleanly. To be called before MPI starts, so
/// that a signal during start-up is not lost. A second INT ends the process at once.
void catch_stop_signals();

/// Of TERM, USR1 and USR2 only those in `names` go on to ask for a stop; what the others did before comes back (libraries
/// may want one for themselves). INT always asks.
void keep_stop_signals(const std::vector<std::string>& names);

/// Throws Error where `names` holds anything but TERM, USR1 and USR2.
void check_stop_signals(const std::vector<std::string>& names);

/// Whether such a signal has come.
bool asked_to_stop();

}  // namespace pyracast
