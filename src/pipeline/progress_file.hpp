#pragma once
// Progress of a video on disk, format 3: a safetensors file with the tensors of VideoProgress, a JSON text "about" with all else, and a
// "seal", the SHA-256 of the others' names, shapes and bytes. Stored outputs are "output.<branch>.<block>", those of guidance's
// unconditional half by itself "unconditional_output.<branch>.<block>".
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

/// Temporary name, fsync, rename. Outputs are taken one at a time, and none is held as a whole in the host's memory. Throws Error where the
/// disk says no.
void write_progress(const std::filesystem::path& path, const ProgressLabel& label, const VideoProgress& progress, const StoredOutputs& outputs = {});

/// Throws Error on a file that is not whole, or not of this format. Outputs stay in the file, which is mapped as long as they live.
LabelledProgress read_progress(const std::filesystem::path& path);
/// The same of a file that lies in memory, kept by `owner`; `file` names it in messages.
LabelledProgress parse_progress(std::span<const std::byte> bytes, const std::string& file, const std::shared_ptr<const void>& owner = {});
/// Whose it is, without looking whether the tensors are whole: they may be many GB. Throws Error where that cannot be read.
ProgressLabel label_of_progress(const std::filesystem::path& path);
/// The seal of a file's other tensors.
std::string seal_of_progress(const StoredTensors& tensors);

}  // namespace pyracast
