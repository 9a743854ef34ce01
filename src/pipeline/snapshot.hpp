#pragma once
#include <filesystem>

#include "base/json.hpp"

namespace pyracast {

/// Where the parts of a model lie.
struct SnapshotPaths {
  std::filesystem::path transformer, vae, text_encoder, tokenizer;
  std::filesystem::path scheduler;   ///< scheduler_config.json; empty: the family's published one
  /// model_index.json of the snapshot, {} where there is none. Ours names the folders and the recommended settings;
  /// diffusers' names the classes; the published Open-Sora repositories have none.
  Json index = Json::object();
  std::filesystem::path index_file;

  /// Each part that is there, by its name in a model_index.json.
  std::vector<std::pair<std::string, std::filesystem::path>> parts() const;
};

/// What folders a family publishes its parts in, where no model_index.json names others: the first that exists counts.
struct SnapshotLayout {
  std::vector<std::string> vae = {"vae"};
  std::string transformer_class = {};   ///< of its variants' config.json, where each lies in a folder named after its size; empty: none do
  bool scheduler = false;               ///< whether a sampler's configuration is looked for
};

/// The parts below `snapshot` (folders named in its model_index.json, else as `layout` says, and the tokenizer beside the
/// text encoder), each replaced by the path given for it. An empty `snapshot` needs all but tokenizer and scheduler given.
/// Throws Error naming what is missing and the option that gives it.
SnapshotPaths find_snapshot(const std::filesystem::path& snapshot, const SnapshotPaths& given, const SnapshotLayout& layout = {});

}  // namespace pyracast
