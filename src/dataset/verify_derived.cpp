#include <algorithm>
#include <fstream>

#include "base/file.hpp"
#include "dataset/child_process.hpp"
#include "dataset/derive.hpp"
#include "dataset/layout.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/verify_parts.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

class DerivedFiles {
 public:
  DerivedFiles(const fs::path& output, Verification& found) : layout_{output}, found_(found) {}

  bool operator()() {
    if (!fs::exists(layout_.index())) return behind("index.h5 is not there");
    try {
      // First where a crash of HDF5 does no harm.
      in_child_process([&] { return std::to_string(read_list("name").size() + read_list("sha256").size()); });
      names_ = read_list("name");
      if (!shards_are_as_listed()) return false;
      in_child_process([&] { return compare_columns(), ""; });
    } catch (const Error& error) {
      add(Defect::index_differs, "index.h5", error.what());
      return false;
    }
    const bool all_listed = lists_all();
    const bool has_metadata = compare_metadata();
    return counts_fit() && all_listed && has_metadata;
  }

 private:
  OutputLayout layout_;
  Verification& found_;
  std::vector<std::string> names_;   // of shards, in the index's order
  int64_t done_ = 0, failed_ = 0;

  void add(Defect defect, const std::string& path, const std::string& what) { found_.add({defect, path, what}); }
  bool behind(const std::string& what) {
    found_.notes.push_back(what + ": it is behind the shards; the same generate command makes it anew");
    return false;
  }

  std::vector<std::string> read_list(const char* name) const {
    return hdf5::read_dataset<std::string>(hdf5::open_file(layout_.index()), concat("shards/", name));
  }

  bool shards_are_as_listed() {
    const auto hashes = read_list("sha256");
    require(hashes.size() == names_.size(), "shards/name has ", names_.size(), " rows, shards/sha256 ", hashes.size());
    bool as_listed = true;
    for (size_t i = 0; i < names_.size(); ++i) {
      const fs::path path = layout_.root / names_[i];
      if (!fs::exists(path)) {
        add(Defect::shard_missing, names_[i],
            "index.h5 lists it; its samples are made again by the same generate command, or put it back");
      } else if (sha256_of_file(path) != hashes[i]) {
        add(Defect::shard_changed, names_[i], concat("its SHA-256 is ", sha256_of_file(path), ", index.h5 says ", hashes[i]));
      } else {
        continue;
      }
      as_listed = false;
    }
    return as_listed;
  }

  /// Every column of the index against those of the shards, some shards at a time: a whole column may be larger than memory, and HDF5 keeps the
  /// sources of what is read open until it is closed.
  void compare_columns() const {
    constexpr size_t shards_at_once = 16;
    SampleRecord names;
    SampleRecord::fields([&]<class Member>(SampleGroup group, const char* name, Member&) {
      const std::string path = concat(group == SampleGroup::content ? "content/" : "provenance/", name);
      hsize_t at = 0;
      for (size_t first = 0; first < names_.size(); first += shards_at_once) {
        const size_t end = std::min(names_.size(), first + shards_at_once);
        std::vector<Member> part;
        for (size_t i = first; i < end; ++i) {
          const auto column = hdf5::read_dataset<Member>(hdf5::open_file(layout_.root / names_[i]), path);
          part.insert(part.end(), column.begin(), column.end());
        }
        require(hdf5::read_rows<Member>(hdf5::open_file(layout_.index()), path, at, part.size()) == part, "its column ", path,
                " is not that of the shards ", names_[first], " to ", names_[end - 1]);
        at += part.size();
      }
      require(hdf5::row_count(hdf5::open_file(layout_.index()), path) == at, "its column ", path, " is longer than the shards'");
    }, names);
  }

  bool lists_all() {
    size_t not_listed = 0;
    for (const fs::path& path : sealed_shards(layout_.shards()))
      not_listed += std::find(names_.begin(), names_.end(), path.lexically_relative(layout_.root).string()) == names_.end();
    return not_listed == 0 || behind(concat("index.h5 does not list ", not_listed, " shards"));
  }

  /// False where it is not there.
  bool compare_metadata() {
    std::ifstream lines(layout_.metadata(), std::ios::binary);
    std::string line;
    int64_t number = 0, differing = 0, first = 0;
    for (const std::string& shard : names_)
      for (const SampleRecord& row : read_shard(layout_.root / shard)) {
        const bool failed = row.status != int64_t(SampleStatus::done);
        ++(failed ? failed_ : done_);
        if (failed) continue;
        ++number;
        const bool fits = std::getline(lines, line) && line + "\n" == metadata_line(row);
        if (!fits && differing++ == 0) first = number;
      }
    if (!fs::exists(layout_.metadata())) return behind("metadata.jsonl is not there");
    if (differing)
      add(Defect::metadata_differs, "metadata.jsonl",
          concat(differing, " of ", number, " lines are not what the shards say, the first is line ", first));
    else if (std::getline(lines, line))
      add(Defect::metadata_differs, "metadata.jsonl", concat("goes on after line ", number, ", its last"));
    return true;
  }

  bool counts_fit() {
    if (!fs::exists(layout_.run())) return behind("run.json is not there");
    try {
      const Json run = read_json(layout_.run()), counts = run.at("samples");
      if (counts.at("done") != done_ || counts.at("failed") != failed_ || counts.at("shards") != names_.size())
        return behind(concat("run.json counts ", counts.dump()));
      if (!run.contains("missing_parts")) return true;
      found_.notes.push_back(concat("parts ", run["missing_parts"].dump(),
                                    " of the manifest were not joined: make them, and pyracast join adds them"));
      return false;
    } catch (const std::exception& error) {
      add(Defect::run_unreadable, "run.json", error.what());
      return false;
    }
  }
};

}  // namespace

bool check_derived_files(const fs::path& output, Verification& found) {
  if (found.shards == 0 && !fs::exists(OutputLayout{output}.index())) return true;
  return DerivedFiles(output, found)();
}

}  // namespace pyracast
