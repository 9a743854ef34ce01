#pragma once
// Progress of a video on disk: a safetensors file with the tensors of VideoProgress, a JSON text "about" with all else, and a
// "seal", the SHA-256 of the others' names, shapes and bytes.
#include <filesystem>

#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// Whose progress it is.
struct ProgressLabel {
  std::string fingerprint;   ///< of the run
  std::string id;
  int64_t sample = 0;

  bool operator==(const ProgressLabel&) const = default;
};

struct LabelledProgress {
  ProgressLabel label;
  VideoProgress progress;
};

/// Temporary name, fsync, rename. Throws Error where the disk says no.
void write_progress(const std::filesystem::path& path, const ProgressLabel& label, const VideoProgress& progress);

/// Throws Error on a file that is not whole, or not of this format.
LabelledProgress read_progress(const std::filesystem::path& path);
/// The same of a file that lies in memory; `file` names it in messages.
LabelledProgress parse_progress(std::span<const std::byte> bytes, const std::string& file);
/// The seal of a file's other tensors.
std::string seal_of_progress(const StoredTensors& tensors);

}  // namespace pyracast
