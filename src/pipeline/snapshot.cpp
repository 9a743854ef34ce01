#include "pipeline/snapshot.hpp"

namespace pyracast {

SnapshotPaths find_snapshot(const std::filesystem::path& snapshot, const SnapshotPaths& given) {
  SnapshotPaths found = given;
  if (!snapshot.empty()) {
    require(std::filesystem::is_directory(snapshot), snapshot.string(),
            ": is not a folder (expected the model's folder: --snapshot)");
    found.index_file = snapshot / "model_index.json";
    if (std::filesystem::exists(found.index_file)) found.index = read_json(found.index_file);
  }
  const auto locate = [&](std::filesystem::path& part, const char* key, const char* option) {
    if (part.empty() && !snapshot.empty())
      part = snapshot / value_or(found.index, key, std::string(key), found.index_file.string());
    require(!part.empty(), "where the ", key, " lies is not known: give --snapshot DIR, or --", option, " DIR");
    require(std::filesystem::exists(part), part.string(), ": does not exist (expected the ", key, "; --", option,
            " DIR names another place)");
  };
  locate(found.transformer, "transformer", "transformer");
  locate(found.vae, "vae", "vae");
  locate(found.text_encoder, "text_encoder", "text-encoder");
  if (found.tokenizer.empty() && (snapshot.empty() || !found.index.contains("tokenizer")))
    found.tokenizer = std::filesystem::exists(snapshot / "tokenizer") && !snapshot.empty() ? snapshot / "tokenizer"
                                                                                         : found.text_encoder;
  locate(found.tokenizer, "tokenizer", "tokenizer");
  return found;
}

}  // namespace pyracast
