#pragma once
#include <filesystem>

#include "base/json.hpp"

namespace pyracast {

/// Where the parts of a model lie.
struct SnapshotPaths {
  std::filesystem::path transformer, vae, text_encoder, tokenizer;
  /// model_index.json of the snapshot, {} where there is none. Ours names the folders and the recommended settings; the
  /// published Open-Sora repositories have none.
  Json index = Json::object();
  std::filesystem::path index_file;
};

/// The parts below `snapshot` (folders named in its model_index.json, else transformer, vae, text_encoder, and the
/// tokenizer beside the text encoder), each replaced by the path given for it. An empty `snapshot` needs all but the
/// tokenizer given. Throws Error naming what is missing and the option that gives it.
SnapshotPaths find_snapshot(const std::filesystem::path& snapshot, const SnapshotPaths& given);

}  // namespace pyracast
