#include "dataset/for_each_row.hpp"

#include <algorithm>

#include "dataset/journal.hpp"
#include "dataset/layout.hpp"
#include "dataset/manifest_files.hpp"
#include "dataset/shard_file.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

std::vector<SampleRecord> rows_of(const fs::path& shard, std::string& fingerprint) try {
  fingerprint = shard_fingerprint(shard);
  return read_shard(shard);
} catch (const Error& error) {
  if (error.code == ExitCode::environment) throw;
  return {};
}

std::vector<SampleRecord> records_of(const fs::path& journal, std::string& fingerprint) {
  const ReadFile file(journal);   // not mapped: a running job may empty it at any moment
  const std::string text = file.read(0, size_t(file.size()));
  const auto bytes = std::as_bytes(std::span(text));
  fingerprint = journal_fingerprint(bytes);
  std::vector<SampleRecord> records;
  if (!fingerprint.empty()) read_journal(bytes, fingerprint, [&](SampleRecord record) { records.push_back(std::move(record)); });
  return records;
}

}  // namespace

void for_each_row(const fs::path& output, const std::function<bool(const StoredRow&)>& each) {
  const OutputLayout layout{output};
  std::vector<fs::path> files = sealed_shards(layout.shards());
  const size_t shards = files.size();
  if (fs::is_directory(layout.journal()))
    for (const auto& entry : fs::directory_iterator(layout.journal()))
      if (entry.path().extension() == ".journal") files.push_back(entry.path());
  std::sort(files.begin() + long(shards), files.end());
  std::string fingerprint;
  for (size_t i = 0; i < files.size(); ++i) {
    const auto rows = i < shards ? rows_of(files[i], fingerprint) : records_of(files[i], fingerprint);
    for (size_t row = 0; row < rows.size(); ++row)
      if (!each({rows[row], fingerprint, files[i], row, i >= shards})) return;
  }
}

}  // namespace pyracast
