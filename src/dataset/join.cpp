#include "dataset/join.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

#include "base/file.hpp"
#include "dataset/attempts.hpp"
#include "dataset/folder_lock.hpp"
#include "dataset/layout.hpp"
#include "dataset/manifest.hpp"
#include "dataset/manifest_files.hpp"
#include "dataset/recover.hpp"
#include "dataset/run_settings.hpp"
#include "dataset/sample_tally.hpp"
#include "dataset/shard_file.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

fs::path fingerprint_file(const fs::path& folder) { return OutputLayout{folder}.work() / "fingerprint.json"; }

bool same_file(const fs::path& a, const fs::path& b) { return fs::equivalent(a, b) || sha256_of_file(a) == sha256_of_file(b); }

/// A second name for the file, or a copy; what has the name already must be the same.
void link_once(const fs::path& from, const fs::path& to) {
  if (fs::exists(to)) {
    require(same_file(from, to), to.string(), ": is there already and is not ", from.string(), "; join into another folder");
    return;
  }
  make_folder(to.parent_path());
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (!error) return;
  const fs::path temporary = to.string() + ".tmp";
  fs::copy_file(from, temporary, fs::copy_options::overwrite_existing, error);
  if (error) fail_at_the_disk(temporary, concat("cannot be made of ", from.string()), error.value());
  publish(temporary, to);
}

void check_holds_dataset(const fs::path& part) {
  require(fs::exists(fingerprint_file(part)) && fs::exists(OutputLayout{part}.work() / "manifest.index"), part.string(),
          ": holds no dataset; expected the --output of a generate");
}

/// The first run of a joined folder is one of its parts', also where later ones went on there.
void check_is_joins_own(const fs::path& output) {
  bool is_generates = !fs::exists(fingerprint_file(output)) && !sealed_shards(OutputLayout{output}.shards()).empty();   // copied without work/
  for_each_attempt(output, [&](int64_t number, const Json& attempt) { is_generates |= number == 0 && !attempt.contains("parts"); },
                   [](const std::string&) {});
  require(!is_generates, output.string(), ": was made by generate, and join goes on in folders of its own only; give a new folder as --output, "
          "and name this one among the parts");
}

void check_part(const fs::path& part, const Json& content) {
  check_holds_dataset(part);
  if (read_json(fingerprint_file(part)) != content)
    throw Error(concat(part.string(), ": was made with another model or other settings than the others"), ExitCode::fingerprint_mismatch);
  const OutputLayout layout{part};
  require(!fs::is_directory(layout.journal()) || fs::is_empty(layout.journal()), part.string(),
          ": a journal holds samples that no shard holds; run its generate command once more");
}

/// The rows that the folders' manifests hold, one after the other; equal rows of two become one.
Manifest joined_manifest(const fs::path& output, const std::vector<fs::path>& folders, const TellStep& tell) {
  GrowingFile rows(OutputLayout{output}.work() / "joined.jsonl");
  for (const fs::path& folder : folders) {
    const Manifest manifest(folder);
    for (uint64_t prompt = 0; prompt < manifest.size(); ++prompt) {
      if (tell) tell("rows of a part's manifest copied", prompt + 1, manifest.size());
      rows.append(to_json_line(manifest.row(prompt)) + "\n");
    }
  }
  rows.close();
  Manifest joined = Manifest::build(rows.path().string(), output, {.strict = true, .tell = tell});
  fs::remove(rows.path());
  return joined;
}

/// Runs of the parts by number: the column `attempt` of a sample counts its part's.
void join_attempts(const fs::path& output, const std::vector<fs::path>& parts, const std::function<void(const std::string&)>& say) {
  std::map<int64_t, Json> by_number;
  for (const fs::path& part : parts)
    for_each_attempt(part, [&](int64_t number, Json attempt) {
      by_number[number]["attempt"] = number;
      by_number[number]["parts"][part.filename().string()] = std::move(attempt);
    }, say);
  std::string text;
  for (const auto& [number, attempts] : by_number) text += attempts.dump() + "\n";
  const fs::path file = OutputLayout{output}.work() / "attempts.jsonl";
  if (!fs::exists(file)) write_atomically(file, text);   // else it has runs of its own
}

/// Of how many parts the folder holds one (--part K/N); 1: it holds all of its manifest.
uint64_t parts_of(const fs::path& folder, const Json& content) {
  const auto all = settings_of_dataset(folder);
  const auto settings = all.find(sha256(content.dump()));
  if (settings == all.end() || !settings->second.configuration.is_object()) return 1;
  const std::string part = settings->second.configuration.value("part", "");
  return part.empty() ? 1 : std::strtoull(part.c_str() + part.find('/') + 1, nullptr, 10);
}

/// Which parts of so many have no prompt in the manifest. A part without prompts is never made (Manifest::build refuses it).
std::vector<std::string> missing_parts(const Manifest& manifest, uint64_t parts) {
  std::vector<bool> met(parts);
  if (parts > 1)
    for (uint64_t prompt = 0; prompt < manifest.size(); ++prompt) met[hash_of_id(manifest.row(prompt).id) % parts] = true;
  std::vector<std::string> missing;
  for (uint64_t part = 0; parts > 1 && part < parts; ++part)
    if (!met[part]) missing.push_back(concat(part, '/', parts));
  return missing;
}

void link_part(const fs::path& output, const fs::path& part, const TellStep& tell) {
  const auto shards = sealed_shards(OutputLayout{part}.shards());
  for (size_t i = 0; i < shards.size(); ++i) {
    const fs::path& shard = shards[i];
    if (tell) tell("shards of a part joined", i + 1, shards.size());
    const fs::path to = output / shard.lexically_relative(part);
    if (fs::exists(to) && fs::equivalent(shard, to)) continue;   // its videos came before it
    for (const SampleRecord& row : read_shard(shard))
      if (!row.video.empty()) link_once(part / row.video, output / row.video);
    link_once(shard, to);
  }
}

void check_disjoint(const Manifest& manifest, const std::vector<fs::path>& folders, const TellStep& tell) {
  SampleTally tally(manifest);
  std::map<std::string, fs::path> met;   // shards by name: one that was joined before is the same one
  for (const fs::path& folder : folders)
    for (const fs::path& shard : sealed_shards(OutputLayout{folder}.shards())) {
      if (tell) tell("shards looked through for samples of two parts", met.size(), 0);
      const auto [found, first] = met.emplace(shard.filename().string(), shard);
      if (!first && same_file(found->second, shard)) continue;
      for (const SampleRecord& row : read_shard(shard))
        require(tally.add(row.id, row.sample, row.status != int64_t(SampleStatus::done)) != SampleTally::Meeting::again, shard.string(), ": sample ",
                row.sample, " of \"", row.id, "\" stands in another part as well; join parts of one manifest (--part K/N with the same N)");
    }
}

}  // namespace

Joined join_datasets(const fs::path& output, const std::vector<fs::path>& parts, const std::function<void(const std::string&)>& say,
                     const TellStep& tell) {
  require(!parts.empty(), "which parts to join is not known: name their folders");
  check_is_joins_own(output);
  check_holds_dataset(parts.front());
  const Json content = read_json(fingerprint_file(parts.front()));
  std::vector<std::unique_ptr<FolderLock>> locks;
  uint64_t array = 1;   // parts of the manifest
  for (const fs::path& part : parts) {
    require(!fs::exists(output) || !fs::equivalent(part, output), part.string(), ": is the folder to join into");
    check_part(part, content);
    array = std::max(array, parts_of(part, content));
    locks.push_back(std::make_unique<FolderLock>(part));
  }
  std::vector<fs::path> folders = parts;
  if (fs::exists(fingerprint_file(output))) {
    check_part(output, content);
    folders.insert(folders.begin(), output);
  }
  const Manifest manifest = joined_manifest(output, folders, tell);
  check_disjoint(manifest, folders, tell);
  write_atomically(fingerprint_file(output), content.dump(1) + "\n");
  Json names = Json::array();
  for (const fs::path& part : parts) {
    for (auto [fingerprint, settings] : settings_of_dataset(part)) {
      if (settings.configuration.is_object()) settings.configuration["part"] = "0/1";   // the folder holds all that are joined
      keep_settings(output, fingerprint, settings);
    }
    link_part(output, part, tell);
    names.push_back(part.string());
  }
  join_attempts(output, parts, say);
  remove_temporary_files(output);   // of a join that was killed
  const std::string fingerprint = sha256(content.dump());
  const RunSettings settings = settings_of_dataset(output).at(fingerprint);
  Json run{{"fingerprint", fingerprint},
           {"version", settings.version},
           {"configuration", settings.configuration},
           {"content", content},
           {"joined", names},
           {"manifest", {{"prompts", manifest.size()}, {"samples", manifest.total_samples()}, {"fingerprint", manifest.fingerprint()}}}};
  const auto missing = missing_parts(manifest, array);
  if (!missing.empty()) run["missing_parts"] = missing;
  run["attempts"] = Json::array();
  for_each_attempt(output, [&](int64_t, Json attempt) { run["attempts"].push_back(std::move(attempt)); }, say);
  return {derive(output, run, tell), manifest.total_samples(), missing};
}

std::vector<std::string> unjoined_parts(const fs::path& output) {
  const fs::path file = OutputLayout{output}.run();
  const Json run = fs::exists(file) ? Json::parse(read_file(file), nullptr, false) : Json();
  return run.is_object() ? run.value("missing_parts", std::vector<std::string>()) : std::vector<std::string>();
}

}  // namespace pyracast
