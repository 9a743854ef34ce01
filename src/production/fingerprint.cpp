#include "production/fingerprint.hpp"

#include <algorithm>
#include <set>

#include "base/file.hpp"
#include "production/audit.hpp"
#include "runtime/device.hpp"
#include "runtime/share_text.hpp"
#include "settings/presets.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// SHA-256 of each file of a part of the model, by name.
Json hashes_of(const fs::path& part) {
  Json hashes = Json::object();
  if (fs::is_regular_file(part)) {
    hashes[part.filename().string()] = sha256_of_file(part);
    return hashes;
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(part))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) hashes[file.filename().string()] = sha256_of_file(file);
  return hashes;
}

/// Settings that say where and how, not what.
bool changes_pixels(const std::string& name) {
  static const std::vector<std::string> without_effect{
      "config", "prompts", "output", "strict", "part", "on-change", "check-files", "checkpoint-every", "give-up-after", "verbose", "max-walltime",
      "walltime-reserve", "stop-signals", "snapshot", "transformer", "vae", "text-encoder", "tokenizer", "scheduler", "text-encoding",
      "broadcast", "audit", "audit-bound", "audit-fallback", "device", "stored-outputs", "cpu-isa", "gpu-attention", "threads", "ranks-per-video",
      "machine", "cfg-parallel", "comm", "collective-timeout", "shard-samples", "shard-megabytes", "references"};
  return std::find(without_effect.begin(), without_effect.end(), name) == without_effect.end();
}

/// The device's name; of processors' instruction sets all with fused multiply-add have one, for they give the same bits.
std::string name_of_results(const Backend& backend) {
  const std::string name = backend.name();
  return name.starts_with("cpu-avx") ? "cpu-avx2" : name;
}

Json content_of(const GenerateSettings& settings, const SnapshotPaths& snapshot, const Backend& backend) {
  Json content = Json::object();
  Json all = to_json(settings);
  std::set<std::string> saved(settings.save.begin(), settings.save.end());
  all["save"] = saved;   // in one order, however they were asked for
  for (const auto& [name, setting] : all.items())
    if (changes_pixels(name)) content["settings"][name] = setting;
  content["settings"]["dtype"] = resolved_dtype(settings.model);
  content["broadcast"] = broadcast_policy(settings.broadcast).json();
  if (const Audit audit(settings); audit.enabled()) content["audit"] = audit.json();
  content["device"] = name_of_results(backend);
  if (backend.name().starts_with("cpu-")) content["convolutions"] = "Winograd's F(2x2, 3x3), taps as columns";   // other sums than the plain one
  for (const auto& [name, path] : snapshot.parts()) content["snapshot"][name] = hashes_of(path);
  content["snapshot"]["model_index"] = snapshot.index;
  return content;
}

void list_differences(const std::string& path, const Json& before, const Json& now, std::string& out) {
  if (before.is_object() && now.is_object()) {
    for (const auto& [key, item] : now.items())
      list_differences(path + "/" + key, before.contains(key) ? before.at(key) : Json(), item, out);
    for (const auto& [key, item] : before.items())
      if (!now.contains(key)) list_differences(path + "/" + key, item, Json(), out);
  } else if (before != now) {
    out += "\n  " + path.substr(1) + " was " + before.dump() + ", is " + now.dump();
  }
}

}  // namespace

Fingerprint fingerprint_of(const Ranks& ranks, const GenerateSettings& settings, const SnapshotPaths& snapshot,
                           const Backend& backend) {
  const std::string text = text_of_first(ranks, [&] { return content_of(settings, snapshot, backend).dump(); });
  const Json content = Json::parse(text);
  const std::string own = name_of_results(backend), first = content.at("device");
  require(own == first, "the first rank computes on ", first, ", rank ", ranks.rank(), " on node ", ranks.node_name(), " on ", own,
          ": samples would depend on who makes them; leave such nodes out",
          !own.starts_with("cpu") ? "" : own == "cpu-amx" || first == "cpu-amx" ? ", or give --dtype bfp16" : ", or give --cpu-isa portable");
  return {content, sha256(text)};
}

Json recorded_anew(Json content) {
  const Json auto_dtype = "auto";
  if (!content.is_object() || !content.contains("settings") || content["settings"].value("dtype", Json()) != auto_dtype) return content;
  content["settings"]["dtype"] = content.erase("products") ? "bfp16" : "bfloat16";
  return content;
}

std::string differences(const Json& before, const Json& now) {
  std::string out;
  list_differences("", before, now, out);
  return out;
}

}  // namespace pyracast
