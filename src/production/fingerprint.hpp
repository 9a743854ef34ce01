#pragma once
#include "comm/ranks.hpp"
#include "kernels/backend.hpp"
#include "pipeline/snapshot.hpp"
#include "settings/job_settings.hpp"

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

/// The content of a fingerprint as this program would have recorded it. Earlier ones recorded a --dtype of auto by that name, and what it came to on
/// a CPU as "products": the arithmetic, and so the pixels, are those of bfp16, on a GPU those of bfloat16.
Json recorded_anew(Json content);

/// What differs between two fingerprints' content, a line each: "\n  settings/steps was 4, is 5"; empty where nothing does.
std::string differences(const Json& before, const Json& now);

}  // namespace pyracast
