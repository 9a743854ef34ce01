#include "production/on_change.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "dataset/earlier_manifest.hpp"
#include "dataset/for_each_row.hpp"
#include "dataset/layout.hpp"
#include "dataset/manifest_text.hpp"
#include "dataset/run_settings.hpp"
#include "dataset/scratch_folder.hpp"
#include "dataset/shard_file.hpp"
#include "runtime/version.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

fs::path fingerprint_file(const fs::path& output) { return OutputLayout{output}.work() / "fingerprint.json"; }

constexpr const char* ways_on = "\nUse the ones from before, another --output, or --on-change fork (goes on in a folder beside it) or only-new "
                                "(keeps what is finished, makes only what is not there).";

/// What of the settings in a shard's configuration is not the run's; the shard does not say which files the model had.
std::string differences_from_shard(const std::string& hash, const Json& configuration, const Fingerprint& fingerprint) {
  Json before = fingerprint.content;
  for (auto& [name, setting] : before.at("settings").items())
    if (configuration.is_object() && configuration.contains(name)) setting = configuration.at(name);
  return concat("\n  fingerprint was ", hash, " (of its shards; work/fingerprint.json is not there), is ", fingerprint.hash,
                differences(before, fingerprint.content));
}

/// What of a folder's settings is not the run's, where they are others. A folder that has lost its work/fingerprint.json still has its shards,
/// which name theirs; such of earlier settings are no change where run.json says that the last ones were the run's.
std::optional<std::string> other_settings(const fs::path& folder, const Fingerprint& fingerprint) {
  if (fs::exists(fingerprint_file(folder))) {
    const std::string found = differences(recorded_anew(read_json(fingerprint_file(folder))), fingerprint.content);
    return found.empty() ? std::nullopt : std::optional(found);
  }
  const fs::path last_run = OutputLayout{folder}.run();
  const Json last = fs::exists(last_run) ? Json::parse(read_file(last_run), nullptr, false) : Json();
  const bool goes_on = last.is_object() && last.value("fingerprint", "") == fingerprint.hash;
  std::optional<std::string> found;
  for (const auto& [hash, settings] : settings_of_shards(folder)) {
    const bool known = !settings.content.is_null();
    if (hash == fingerprint.hash || (goes_on && known)) continue;
    const std::string other = known ? differences(recorded_anew(settings.content), fingerprint.content)
                                    : differences_from_shard(hash, settings.configuration, fingerprint);
    if (!other.empty()) found = found.value_or("") + other;
  }
  return found;
}

/// Whether a run has begun there.
bool is_begun(const fs::path& folder) {
  return fs::exists(fingerprint_file(folder)) || !sealed_shards(OutputLayout{folder}.shards()).empty();
}

/// What of a folder is not the run's; empty: nothing.
std::string changed_in(const fs::path& folder, const GenerateSettings& settings, const Fingerprint& fingerprint,
                       const VideoRequests& requests, const ManifestOptions& options) {
  if (const auto other = other_settings(folder, fingerprint)) return *other;
  require(!is_stream(settings.prompts.string()), "--on-change fork reads the manifest twice, which standard input and pipes do "
          "not allow: give a file");
  const ScratchFolder scratch;
  const Manifest manifest = Manifest::build(settings.prompts.string(), scratch.path(), options);
  if (is_accepted(folder, manifest.fingerprint()) && !settings.check_files) return "";
  ChangedRows changed(manifest, settings, requests, fingerprint.hash);
  for_each_row(folder, [&](const StoredRow& row) {
    changed.look_at(row.record, row.fingerprint);
    return true;
  });
  return described(changed.all());
}

}  // namespace

OnChange on_change_of(const std::string& name) {
  if (name == "refuse") return OnChange::refuse;
  if (name == "fork") return OnChange::fork;
  require(name == "only-new", "on-change is \"", name, "\", expected refuse, fork or only-new");
  return OnChange::only_new;
}

fs::path folder_to_go_on_in(const GenerateSettings& settings, const Fingerprint& fingerprint, const VideoRequests& requests,
                            const ManifestOptions& manifest) {
  const fs::path asked = settings.output.has_filename() ? settings.output : settings.output.parent_path();
  std::string why;
  for (int n = 0;; ++n) {
    const std::string suffix = n ? concat('-', fingerprint.hash.substr(0, 8), n > 1 ? concat('-', n) : "") : "";
    const fs::path folder = asked.string() + suffix;
    const std::string changed = is_begun(folder) ? changed_in(folder, settings, fingerprint, requests, manifest) : "";
    if (n == 0) why = changed;
    if (!changed.empty()) continue;
    if (n)
      std::fprintf(stderr, "pyracast: %s was made otherwise and stays as it is:%s\npyracast: this run makes %s\n", asked.c_str(), why.c_str(),
                   folder.c_str());
    return folder;
  }
}

void continue_or_begin(const GenerateSettings& settings, const Fingerprint& fingerprint) {
  const fs::path file = fingerprint_file(settings.output);
  const bool is_there = fs::exists(file);
  const auto other = other_settings(settings.output, fingerprint);
  if (other) {
    const std::string what = concat(settings.output.string(), ": was begun with another model or other settings:", *other);
    if (on_change_of(settings.on_change) != OnChange::only_new) throw Error(what + ways_on, ExitCode::fingerprint_mismatch);
    std::fprintf(stderr, "pyracast: %s\nWhat is finished stays as it is; what is not there yet is made with the new settings.\n", what.c_str());
    auto earlier = settings_of_dataset(settings.output);
    if (!is_there) earlier.merge(settings_of_shards(settings.output));
    for (const auto& [hash, each] : earlier) keep_settings(settings.output, hash, each);
  }
  keep_settings(settings.output, fingerprint.hash, {fingerprint.content, to_json(settings), version_json()});
  if (other || !is_there) write_atomically(file, fingerprint.content.dump(1) + "\n");
}

std::map<std::string, std::string> configurations_of(const fs::path& output) {
  std::map<std::string, std::string> configurations;
  for (const auto& [hash, settings] : settings_of_dataset(output)) configurations[hash] = settings.configuration.dump();
  return configurations;
}

void accept_rows(const GenerateSettings& settings, const std::string& manifest, const ChangedRows& changed) {
  const std::vector<ChangedRow>& rows = changed.all();
  if (rows.empty() && is_accepted(settings.output, manifest)) return;
  const KeptRows kept(settings.output);
  if (!std::all_of(rows.begin(), rows.end(), [&](const ChangedRow& row) { return kept.has(row); })) {
    const std::string what = concat(settings.output.string(), ": ", counted(rows.size(), "finished sample was made of another row",
        "finished samples were made of other rows"), " than the manifest's:",
                                    described(rows));
    if (on_change_of(settings.on_change) != OnChange::only_new) {
      put_back_manifest(settings.output);
      throw Error(what + ways_on, ExitCode::fingerprint_mismatch);
    }
    std::fprintf(stderr, "pyracast: %s\nThey stay as they are (work/kept.jsonl).\n", what.c_str());
  }
  KeptRows::write(settings.output, rows);
  accept_manifest(settings.output, manifest);
}

}  // namespace pyracast
