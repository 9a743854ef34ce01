#pragma once
// A journal holds finished samples until a shard does: each is durable by itself, whatever happens afterwards.
//   header   "PYRAJNL1", then 64 characters: the run's fingerprint
//   records  "SAMP", payload bytes (uint64), CRC-32 of the payload (uint32), payload (sample.hpp); little-endian
#include <filesystem>
#include <functional>

#include "dataset/sample.hpp"

namespace pyracast {

/// Appends samples to a new journal.
class JournalWriter {
 public:
  /// Throws Error where the file exists or cannot be made. `fingerprint` has 64 characters.
  JournalWriter(const std::filesystem::path& path, const std::string& fingerprint);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  /// Durable when it returns.
  void append(const SampleRecord& record);
  /// Forgets all records; for when a sealed shard holds them.
  void clear();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  void write(std::span<const uint8_t> bytes);
};

/// What reading a journal came to.
struct JournalEnd {
  uint64_t records = 0;
  std::string problem;         ///< why reading stopped before the end; empty: all was sound
  bool held_nothing = false;   ///< it ends in its header or right after it: no sample was ever in it
};

/// Calls `each` with every sound record from the start; stops at the first that is torn or does not fit its checksum.
/// A journal of another fingerprint gives no record.
JournalEnd read_journal(std::span<const std::byte> bytes, const std::string& fingerprint,
                        const std::function<void(SampleRecord)>& each);
JournalEnd read_journal(const std::filesystem::path& path, const std::string& fingerprint,
                        const std::function<void(SampleRecord)>& each);

/// The fingerprint in a journal's header; empty where it has not got so far.
std::string journal_fingerprint(std::span<const std::byte> bytes);

}  // namespace pyracast
