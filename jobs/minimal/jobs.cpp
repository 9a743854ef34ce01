// The jobs of a build without MPI, HDF5 and libav.
#include "jobs/jobs.hpp"

namespace pyracast {

namespace {

constexpr JobEntry jobs[] = {
    {"parity", parity, "run parity cases: parity [settings] CASE...; 0 only if every number fits"},
    {"bench", bench, "time the networks at published sizes, with random weights"},
};

}  // namespace

std::span<const JobEntry> all_jobs() { return jobs; }

}  // namespace pyracast
