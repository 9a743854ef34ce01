#pragma once
#include "comm/ranks.hpp"
#include "jobs/job_settings.hpp"
#include "kernels/backend.hpp"
#include "pipeline/snapshot.hpp"

namespace pyracast {

/// What decides the pixels of a run: settings, weights, instruction set. Two runs may share an output folder only where
/// it is equal.
struct Fingerprint {
  Json content;        ///< every setting and file that changes pixels, with its value or SHA-256
  std::string hash;    ///< of `content`
};

/// Weight files are hashed on world rank 0, once; all ranks get the result.
Fingerprint fingerprint_of(const Ranks& ranks, const GenerateSettings& settings, const SnapshotPaths& snapshot,
                           const Backend& backend);

/// What differs between two fingerprints' content, a line each: "\n  settings/steps was 4, is 5"; empty where nothing does.
std::string differences(const Json& before, const Json& now);

}  // namespace pyracast
