#include "base/counted.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "dataset/derive.hpp"
#include "dataset/seal.hpp"
#include "dataset/verify_parts.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

bool behind(Verification& found, const std::string& what) {
  found.notes.push_back(what + ": it is behind the shards; the same generate command makes it anew");
  return false;
}

}  // namespace

DerivedFiles::DerivedFiles(const fs::path& output)
    : layout_{output}, has_index_(fs::exists(layout_.index())), lines_(layout_.metadata(), std::ios::binary) {
  if (!has_index_) return;
  try {
    listed_ = shards_in_index(layout_.index());
    if (listed_.format_version >= index_format_version) check_seal(layout_.index());   // then its columns are those of the shards it lists
    require(std::is_sorted(listed_.names.begin(), listed_.names.end(), [](const fs::path& a, const fs::path& b) { return a < b; }),
            "its list of shards is not in order");
  } catch (const Error& error) {
    if (error.code == ExitCode::environment) throw;
    listed_ = {};
    add(Defect::index_differs, "index.h5", error.what());
  }
}

void DerivedFiles::pass_missing(const fs::path& up_to) {
  for (; next_ < listed_.names.size() && (up_to.empty() || fs::path(listed_.names[next_]) < up_to); ++next_)
    add(Defect::shard_missing, listed_.names[next_], "index.h5 lists it; its samples are made again by the same generate command, or put it back");
}

void DerivedFiles::take(const fs::path& shard, const std::string& sha256, const std::vector<SampleRecord>& rows) {
  ++shards_;
  const fs::path name = shard.lexically_relative(layout_.root);
  pass_missing(name);
  if (next_ == listed_.names.size() || name != listed_.names[next_]) {
    ++not_listed_;
    return;
  }
  const size_t at = next_++;
  if (sha256 != listed_.hashes[at])
    return add(Defect::shard_changed, name.string(), concat("its SHA-256 is ", sha256, ", index.h5 says ", listed_.hashes[at]));
  if (rows.size() != size_t(listed_.rows[at]))
    add(Defect::index_differs, "index.h5", concat("it lists ", counted(listed_.rows[at], "row"), " of ", name.string(), ", which has ", rows.size()));
  compare_metadata(rows);
}

void DerivedFiles::compare_metadata(const std::vector<SampleRecord>& rows) {
  std::string line;
  for (const SampleRecord& row : rows) {
    const bool failed = row.status != int64_t(SampleStatus::done);
    ++(failed ? failed_ : done_);
    if (failed) continue;
    ++line_;
    const bool fits = std::getline(lines_, line) && line + "\n" == metadata_line(row);
    if (!fits && differing_++ == 0) first_differing_ = line_;
  }
}

void DerivedFiles::judge_metadata(Verification& found) {
  std::string line;
  if (differing_)
    found.add({Defect::metadata_differs, "metadata.jsonl",
               concat(differing_, " of ", counted(line_, "line is", "lines are"), " not what the shards say, the first is line ", first_differing_)});
  else if (std::getline(lines_, line))
    found.add({Defect::metadata_differs, "metadata.jsonl", concat("goes on after line ", line_, ", its last")});
}

bool DerivedFiles::end(Verification& found) {
  if (!has_index_) return shards_ == 0 || behind(found, "index.h5 is not there");
  pass_missing({});
  for (Finding& finding : findings_) found.add(std::move(finding));
  if (!findings_.empty()) return false;
  if (listed_.format_version < index_format_version)
    found.notes.push_back(concat("index.h5 is of format ", listed_.format_version, ", whose columns are views of the shards and were not looked at; "
                                 "the same generate command makes one that holds them"));
  const bool all_listed = not_listed_ == 0 || behind(found, concat("index.h5 does not list ", counted(not_listed_, "shard")));
  const bool has_metadata = fs::exists(layout_.metadata()) || behind(found, "metadata.jsonl is not there");
  if (has_metadata) judge_metadata(found);
  return run_fits(found) && all_listed && has_metadata;
}

bool DerivedFiles::run_fits(Verification& found) const {
  if (!fs::exists(layout_.run())) return behind(found, "run.json is not there");
  try {
    const Json run = read_json(layout_.run()), counts = run.at("samples");
    if (counts.at("done") != done_ || counts.at("failed") != failed_ || counts.at("shards") != listed_.names.size())
      return behind(found, concat("run.json counts ", counts.dump()));
    if (!run.contains("missing_parts")) return true;
    found.notes.push_back(concat("parts ", run["missing_parts"].dump(),
                                 " of the manifest were not joined: make them, and pyracast join adds them"));
    return false;
  } catch (const std::exception& error) {
    found.add({Defect::run_unreadable, "run.json", error.what()});
    return false;
  }
}

}  // namespace pyracast
