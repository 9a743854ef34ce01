#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/tell_step.hpp"

namespace pyracast {

/// webdataset: tars of <key>.mp4, <key>.json (a line of metadata.jsonl without its file_name) and <key>.txt (the prompt).
/// videofolder: the videos as they lie, and metadata.jsonl (Hugging Face, pandas).
enum class ExportFormat { webdataset, videofolder };

struct ExportOptions {
  std::filesystem::path output, to;
  ExportFormat format = ExportFormat::webdataset;
  uint64_t tar_bytes = 1000000000;   ///< of a tar at most, unless one sample is larger
};

struct Exported {
  uint64_t samples = 0, files = 0, bytes = 0;   ///< of the whole export
  uint64_t written = 0;                         ///< files that were not there yet
  uint64_t left = 0;                            ///< samples that the kept manifest asks for and no shard holds
  std::vector<std::string> missing_parts;       ///< of an array job, that were not joined
  uint64_t before = 0;                          ///< samples of an earlier export of fewer, whose place this one takes; 0: there was none

  bool complete() const { return left == 0 && missing_parts.empty(); }
};

/// Copies the finished samples of a dataset, in the order of their videos' paths (so shuffled by the ids' hashes). The bytes
/// depend on the samples only, not on which ranks made them in what order. Each file appears by one rename, and the same call
/// goes on after a kill; export.json says "complete" at the end. Of a dataset that is not finished it exports what is there, export.json
/// says "partial", and a later call takes its place. Every video is held against its SHA-256 on the way. Throws Error where
/// `output` is no dataset or `to` holds something else, and with ExitCode::damaged where a video is not what it was.
Exported export_dataset(const ExportOptions& options, const TellStep& tell = {});

}  // namespace pyracast
