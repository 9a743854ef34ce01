#pragma once
#include <filesystem>

#include "comm/ranks.hpp"
#include "dataset/time_left.hpp"
#include "settings/job_settings.hpp"

namespace pyracast {

/// The time in which samples may be made, the same on all ranks: max-walltime from now on, and until walltime-reserve
/// before the end of the Slurm allocation, as rank 0's environment tells it (mpirun does not bring it to other nodes).
TimeLeft time_left(const Ranks& ranks, const WalltimeSettings& settings);

/// Writes down that a run of the output folder begins, with what Slurm says of it and its fingerprint, and gives its
/// number, from 0. Rank 0 calls this.
int64_t begin_attempt(const std::filesystem::path& output, const Ranks& ranks, const std::string& fingerprint);

/// All runs of the output folder so far, oldest first. The log says which lines of work/attempts.jsonl are none.
Json attempts_of(const std::filesystem::path& output);

}  // namespace pyracast
