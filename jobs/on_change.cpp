#include "jobs/on_change.hpp"

#include <algorithm>
#include <cstdio>

#include "base/file.hpp"
#include "dataset/earlier_manifest.hpp"
#include "dataset/for_each_row.hpp"
#include "dataset/layout.hpp"
#include "dataset/run_settings.hpp"
#include "dataset/scratch_folder.hpp"
#include "jobs/version.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

fs::path fingerprint_file(const fs::path& output) { return OutputLayout{output}.work() / "fingerprint.json"; }

constexpr const char* ways_on = "\nUse the ones from before, another --output, or --on-change fork (goes on in a folder beside it) or only-new "
                                "(keeps what is finished, makes only what is not there).";

/// What of a folder is not the run's; empty: nothing.
std::string changed_in(const fs::path& folder, const GenerateSettings& settings, const Fingerprint& fingerprint,
                       const VideoRequests& requests, const ManifestOptions& options) {
  if (const Json before = read_json(fingerprint_file(folder)); before != fingerprint.content)
    return differences(before, fingerprint.content);
  require(settings.prompts != "-", "--on-change fork reads the manifest twice, which standard input does not allow: give a file");
  const ScratchFolder scratch;
  const Manifest manifest = Manifest::build(settings.prompts.string(), scratch.path(), options);
  if (is_accepted(folder, manifest.fingerprint())) return "";
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
    const std::string changed = fs::exists(fingerprint_file(folder)) ? changed_in(folder, settings, fingerprint, requests, manifest) : "";
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
  const bool begins = !fs::exists(file);
  const Json before = begins ? fingerprint.content : read_json(file);
  if (before != fingerprint.content) {
    const std::string what = concat(settings.output.string(), ": was begun with another model or other settings:",
                                    differences(before, fingerprint.content));
    if (on_change_of(settings.on_change) != OnChange::only_new) throw Error(what + ways_on, ExitCode::fingerprint_mismatch);
    std::fprintf(stderr, "pyracast: %s\nWhat is finished stays as it is; what is not there yet is made with the new settings.\n", what.c_str());
    for (const auto& [hash, earlier] : settings_of_dataset(settings.output)) keep_settings(settings.output, hash, earlier);
  }
  keep_settings(settings.output, fingerprint.hash, {fingerprint.content, to_json(settings), version_json()});
  if (begins || before != fingerprint.content) write_atomically(file, fingerprint.content.dump(1) + "\n");
}

std::map<std::string, std::string> configurations_of(const fs::path& output) {
  std::map<std::string, std::string> configurations;
  for (const auto& [hash, settings] : settings_of_dataset(output)) configurations[hash] = settings.configuration.dump();
  return configurations;
}

void accept_rows(const GenerateSettings& settings, const std::string& manifest, const ChangedRows& changed) {
  if (is_accepted(settings.output, manifest)) return;
  const std::vector<ChangedRow>& rows = changed.all();
  const KeptRows kept(settings.output);
  if (!std::all_of(rows.begin(), rows.end(), [&](const ChangedRow& row) { return kept.has(row); })) {
    const std::string what = concat(settings.output.string(), ": ", rows.size(), " finished samples were made of other rows than the manifest's:",
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
