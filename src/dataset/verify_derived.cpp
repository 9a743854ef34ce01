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
  DerivedFiles(const fs::path& output, Verification& found, const TellStep& tell) : layout_{output}, found_(found), tell_(tell) {}

  bool operator()() {
    if (!fs::exists(layout_.index())) return behind("index.h5 is not there");
    try {
      // First where a crash of HDF5 does no harm.
      in_child_process([&] {
        return read_list<std::string>("name"), read_list<std::string>("sha256"), read_list<int64_t>("rows"), "";
      });
      names_ = read_list<std::string>("name"), rows_ = read_list<int64_t>("rows");
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
  const TellStep& tell_;
  std::vector<std::string> names_;   // of shards, in the index's order
  std::vector<int64_t> rows_;        // of each
  int64_t done_ = 0, failed_ = 0;

  void add(Defect defect, const std::string& path, const std::string& what) { found_.add({defect, path, what}); }
  bool behind(const std::string& what) {
    found_.notes.push_back(what + ": it is behind the shards; the same generate command makes it anew");
    return false;
  }

  template <class T>
  std::vector<T> read_list(const char* name) const {
    return hdf5::read_dataset<T>(hdf5::open_file(layout_.index()), concat("shards/", name));
  }

  bool shards_are_as_listed() {
    const auto hashes = read_list<std::string>("sha256");
    require(hashes.size() == names_.size() && rows_.size() == names_.size(), "shards/name has ", names_.size(), " rows, shards/sha256 ",
            hashes.size(), ", shards/rows ", rows_.size());
    bool as_listed = true;
    for (size_t i = 0; i < names_.size(); ++i) {
      if (tell_) tell_("shards held against index.h5", i + 1, names_.size());
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

  /// Every column of the index against the list of shards. HDF5 shows what is mapped, so that no value is read.
  void compare_columns() const {
    SampleRecord names;
    SampleRecord::fields([&](SampleGroup group, const char* name, const auto&) {
      const std::string column = concat(group == SampleGroup::content ? "content/" : "provenance/", name);
      const auto shown = indexed_rows(layout_.root, column);
      for (size_t i = 0; i < std::min(shown.size(), names_.size()); ++i)
        require(shown[i].file == names_[i] && shown[i].rows == hsize_t(rows_[i]), "its column ", column, " shows ", shown[i].rows, " rows of ",
                shown[i].file, " where it lists ", rows_[i], " of ", names_[i]);
      require(shown.size() == names_.size(), "its column ", column, " shows ", shown.size(), " shards, and it lists ", names_.size());
    }, names);
  }

  std::vector<std::string> sorted_names() const {
    std::vector<std::string> names = names_;
    std::sort(names.begin(), names.end());
    return names;
  }

  bool lists_all() {
    size_t not_listed = 0;
    const auto names = sorted_names();
    for (const fs::path& path : sealed_shards(layout_.shards()))
      not_listed += !std::binary_search(names.begin(), names.end(), path.lexically_relative(layout_.root).string());
    return not_listed == 0 || behind(concat("index.h5 does not list ", not_listed, " shards"));
  }

  /// False where it is not there.
  bool compare_metadata() {
    std::ifstream lines(layout_.metadata(), std::ios::binary);
    std::string line;
    int64_t number = 0, differing = 0, first = 0;
    for (size_t i = 0; i < names_.size(); ++i) {
      if (tell_) tell_("shards held against metadata.jsonl", i + 1, names_.size());
      const auto rows = read_shard(layout_.root / names_[i], ShardCheck::columns);   // its bytes are what the index lists
      if (rows.size() != size_t(rows_[i]))
        add(Defect::index_differs, "index.h5", concat("it lists ", rows_[i], " rows of ", names_[i], ", which has ", rows.size()));
      for (const SampleRecord& row : rows) {
        const bool failed = row.status != int64_t(SampleStatus::done);
        ++(failed ? failed_ : done_);
        if (failed) continue;
        ++number;
        const bool fits = std::getline(lines, line) && line + "\n" == metadata_line(row);
        if (!fits && differing++ == 0) first = number;
      }
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

bool check_derived_files(const fs::path& output, Verification& found, const TellStep& tell) {
  if (found.shards == 0 && !fs::exists(OutputLayout{output}.index())) return true;
  return DerivedFiles(output, found, tell)();
}

}  // namespace pyracast
