#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "base/tell_step.hpp"
#include "dataset/manifest_text.hpp"
#include "dataset/prompt.hpp"
#include "dataset/prompt_index.hpp"

namespace pyracast {

struct ManifestOptions {
  /// One bad row and nothing is made.
  bool strict = false;

  /// Only the prompts of this part of so many: their ids decide, so that it does not matter where they stand.
  uint64_t part = 0, parts = 1;

  /// What the model has to say against a row (sizes, frames): the reason to reject it. An Error thrown says the same.
  std::function<std::optional<std::string>(const Prompt&)> check;

  /// The work of one sample, in any unit; without it all rows count the same.
  std::function<double(const Prompt&)> cost;

  TellStep tell;   ///< while rows are read
};

/// The prompts of a run: checked once, then read by every rank from files in the output folder.
///
///   work/manifest.index            60 bytes a prompt (prompt_index.hpp), mapped
///   work/manifest-<16 digits>.jsonl  the rows in the manifest's order, one JSON object a line, read one by one
///   rejected.jsonl                 {"line", "reason", "text"} of each row that was left out, and "id" where it could be read;
///                                  absent where none was
///
/// Nothing else grows with the manifest. The folder is one that all nodes see; the index is renamed into place last.
class Manifest {
 public:
  /// Reads the whole manifest (a path, or "-" for standard input) and writes the files above. Rows with the same id
  /// merge where they are equal; where not, the later is rejected. Throws Error where the manifest cannot be read,
  /// holds no good row or, if strict, one bad.
  static Manifest build(const std::string& source, const std::filesystem::path& output,
                        const ManifestOptions& options = {});
  static Manifest build(ByteSource source, const std::string& name, const std::filesystem::path& output,
                        const ManifestOptions& options = {});

  /// What build() left in the output folder.
  explicit Manifest(const std::filesystem::path& output);

  uint64_t size() const { return index_->entries().size(); }
  uint64_t total_samples() const { return index_->header().samples; }
  uint64_t merged() const { return index_->header().merged; }
  uint64_t rejected() const { return index_->header().rejected; }

  /// SHA-256 of the rows as checked, hexadecimal: equal where the prompts and their order are.
  std::string fingerprint() const;

  const PromptEntry& entry(uint64_t prompt) const { return index_->entries()[prompt]; }
  Prompt row(uint64_t prompt) const;

  /// The k-th prompt, longest first by the cost of all its samples; equal ones in the manifest's order.
  uint64_t longest(uint64_t k) const { return index_->longest_first()[k]; }

  /// The prompt with this id.
  std::optional<uint64_t> find(std::string_view id) const;

  /// The same without reading its row: told by the id's 64-bit hash alone, unless two prompts share that. An id that is not
  /// in the manifest is taken for one that is with a chance of the manifest's size over 2^64.
  std::optional<uint64_t> find_by_hash(std::string_view id) const;

  /// Lets the system take back the memory that holds what was read so far: for whoever goes on to something else.
  void release() const { index_->release(); }

  /// Reads all rows and holds them against the index and the fingerprint. Throws Error where the files are damaged.
  void check() const;

 private:
  std::unique_ptr<PromptIndex> index_;
  std::unique_ptr<ReadFile> rows_;
};

}  // namespace pyracast
