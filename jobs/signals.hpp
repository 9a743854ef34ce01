#pragma once

namespace pyracast {

/// Catches INT, TERM, USR1 and USR2 from here on: each asks the job to stop cleanly. To be called before MPI starts, so
/// that a signal during start-up is not lost. A second INT ends the process at once.
void catch_stop_signals();

/// Whether such a signal has come.
bool asked_to_stop();

}  // namespace pyracast
