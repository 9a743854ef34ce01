#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/file.hpp"
#include "dataset/manifest_files.hpp"

namespace pyracast {

// The index of a manifest is one file, mapped by every rank: 128 bytes of PromptIndexHeader, then for n prompts
//   PromptEntry[n]  in the manifest's order
//   IdSlot[n]       sorted by hash: finds a prompt by its id
//   uint32[n]       the prompts, longest first: the order in which they are claimed
// 60 bytes a prompt, little-endian. It names the file of rows that belongs to it by its fingerprint.

/// What a rank knows of a prompt without reading its row.
struct PromptEntry {
  uint64_t offset = 0;        ///< of the row in the file of rows, bytes
  uint64_t first_sample = 0;  ///< samples of all prompts before
  uint64_t line = 0;          ///< in the manifest, counted from 1
  double cost = 0;            ///< of one sample, in whatever unit the run counts
  uint32_t length = 0;        ///< of the row without its line break, bytes
  uint32_t samples = 0;
};

/// Where a prompt with an id of this hash stands.
struct IdSlot {
  uint64_t hash = 0, prompt = 0;
};

struct PromptIndexHeader {
  char magic[8] = {'P', 'Y', 'R', 'A', 'I', 'D', 'X', '1'};
  uint64_t prompts = 0, samples = 0;
  uint64_t merged = 0, rejected = 0;  ///< rows of the manifest that are in no entry
  uint64_t rows_bytes = 0;
  char fingerprint[64] = {};  ///< SHA-256 of the file of rows, hexadecimal
  char unused[16] = {};
};

static_assert(sizeof(PromptEntry) == 40 && sizeof(IdSlot) == 16 && sizeof(PromptIndexHeader) == 128);

/// The same number for the same id on every machine.
uint64_t hash_of_id(std::string_view id);

/// Ids seen so far, in a hash table that lies in a file without a name.
class IdTable {
 public:
  explicit IdTable(std::filesystem::path folder);

  /// The prompt with this hash for which `is_it` is true.
  std::optional<uint64_t> find(uint64_t hash, const std::function<bool(uint64_t)>& is_it) const;
  void insert(uint64_t hash, uint64_t prompt);

  /// Moves all entries, in no order, to `out`, which has room for just them.
  void move_to(std::span<IdSlot> out);

 private:
  void grow();
  std::span<IdSlot> slots() const { return memory_->as<IdSlot>(0, capacity_); }

  std::filesystem::path folder_;
  size_t capacity_ = 0, count_ = 0;
  std::unique_ptr<FileMemory> memory_;
};

/// Writes an index whose prompts come one by one.
class PromptIndexWriter {
 public:
  explicit PromptIndexWriter(std::filesystem::path temporary);
  void add(const PromptEntry& entry);
  PromptEntry read_back(uint64_t prompt);
  uint64_t size() const { return prompts_; }

  /// Sorts and renames the whole to `path`; the header's counts of prompts and samples are filled in.
  /// `ids` are gone afterwards.
  void publish(PromptIndexHeader header, IdTable& ids, const std::filesystem::path& path);

 private:
  GrowingFile file_;
  uint64_t prompts_ = 0, samples_ = 0;
};

/// An index as mapped.
class PromptIndex {
 public:
  /// Throws Error naming the file where it is not a whole index of this version.
  explicit PromptIndex(const std::filesystem::path& path);

  const PromptIndexHeader& header() const { return *header_; }
  std::span<const PromptEntry> entries() const { return entries_; }
  std::span<const uint32_t> longest_first() const { return longest_first_; }

  /// Lets the system take back the memory that holds what was read; it is read again where it is needed.
  void release() const;

  /// The prompts whose id has this hash: all but always one or none.
  std::span<const IdSlot> with_hash(uint64_t hash) const;

 private:
  MappedFile file_;
  const PromptIndexHeader* header_;
  std::span<const PromptEntry> entries_;
  std::span<const IdSlot> ids_;
  std::span<const uint32_t> longest_first_;
};

}  // namespace pyracast
