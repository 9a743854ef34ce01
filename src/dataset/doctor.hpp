#pragma once
// What a job needs of the machines it runs on, tried out rather than asked for.
#include <filesystem>
#include <string>
#include <vector>

#include "comm/ranks.hpp"

namespace pyracast {

/// One question about the machine.
struct Examination {
  std::string question;   ///< "locks are kept between processes"
  bool yes = false;
  std::string found;      ///< of the first rank that says no, else of rank 0
  std::string advice;     ///< what to do about a no
};

/// The answers of all ranks in one: yes where all say yes. All ranks call this; only rank 0 gets what was found.
Examination agreed(const Ranks& ranks, const std::string& question, bool yes, const std::string& found, const std::string& advice);

/// MPI, shared memory, clocks, instruction sets. All ranks call this.
std::vector<Examination> examine_machines(const Ranks& ranks);

/// The file system of a folder, in a folder of its own below it that is removed again: seen by all ranks, atomic rename,
/// fsync, locks between processes, mapped files, free space. All ranks call this.
std::vector<Examination> examine_file_system(const Ranks& ranks, const std::filesystem::path& folder);

}  // namespace pyracast
