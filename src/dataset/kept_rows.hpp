#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pyracast {

/// A finished sample that was made of another row than the manifest has now.
struct ChangedRow {
  std::string id;
  int64_t sample = 0;
  std::string change;   ///< "prompt was \"a\", is \"b\""
};

/// Samples that a run was told to keep although their rows had changed (--on-change only-new): work/kept.jsonl, an object a
/// sample with `id`, `sample` and `change`. 16 bytes a sample in memory and those of a tree.
class KeptRows {
 public:
  explicit KeptRows(const std::filesystem::path& output);

  size_t size() const { return changes_.size(); }
  bool has(std::string_view id, int64_t sample) const;
  /// Whether it was kept in spite of just this change.
  bool has(const ChangedRow& row) const;

  /// Replaces the file; none is written where there is no row.
  static void write(const std::filesystem::path& output, const std::vector<ChangedRow>& rows);

 private:
  std::map<uint64_t, uint64_t> changes_;   // hash of id and sample -> hash of the change
};

}  // namespace pyracast
