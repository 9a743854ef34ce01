#pragma once
#include "kernels/backend.hpp"

namespace pyracast {

/// CPU seconds of the calling thread since it began, or of all threads of the process.
double thread_cpu_seconds();
double process_cpu_seconds();

/// Floating-point operations a second of one thread's CPU time in a loop of multiply-adds on registers (of amx: of products of bfloat16 in tiles),
/// the best of some short runs. Throws Error when the loop's result is not what so many additions give.
double measured_flop_rate(CpuIsa isa = CpuIsa::automatic);

/// The same of all OpenMP threads together, a second on the wall clock.
double measured_flop_rate_of_all_threads(CpuIsa isa = CpuIsa::automatic);

/// Bytes a second, read and written, of copying memory that no cache holds, by one thread.
double measured_copy_rate();

}  // namespace pyracast
