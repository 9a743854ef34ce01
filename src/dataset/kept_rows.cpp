#include "dataset/kept_rows.hpp"

#include <fstream>

#include "base/file.hpp"
#include "base/json.hpp"
#include "dataset/layout.hpp"
#include "dataset/prompt_index.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

fs::path file_of(const fs::path& output) { return OutputLayout{output}.work() / "kept.jsonl"; }
uint64_t hash_of(std::string_view id, int64_t sample) { return hash_of_id(concat(id, '\n', sample)); }

}  // namespace

KeptRows::KeptRows(const fs::path& output) {
  std::ifstream lines(file_of(output));
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line, nullptr, false);
    if (row.is_object()) changes_[hash_of(row.value("id", ""), row.value("sample", int64_t(-1)))] = hash_of_id(row.value("change", ""));
  }
}

bool KeptRows::has(std::string_view id, int64_t sample) const { return changes_.contains(hash_of(id, sample)); }

bool KeptRows::has(const ChangedRow& row) const {
  const auto found = changes_.find(hash_of(row.id, row.sample));
  return found != changes_.end() && found->second == hash_of_id(row.change);
}

void KeptRows::write(const fs::path& output, const std::vector<ChangedRow>& rows) {
  if (rows.empty()) {
    fs::remove(file_of(output));
    return;
  }
  std::string text;
  for (const ChangedRow& row : rows)
    text += Json{{"id", row.id}, {"sample", row.sample}, {"change", row.change}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  write_atomically(file_of(output), text);
}

}  // namespace pyracast
