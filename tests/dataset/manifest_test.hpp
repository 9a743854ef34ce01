#pragma once
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "dataset/manifest_reader.hpp"
#include "tests/base/temporary_folder.hpp"

namespace pyracast {

/// A test with a folder of its own, removed with all that is in it.
class ManifestTest : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    return temporary_.write(name, std::string(content));
  }

  /// The objects of rejected.jsonl.
  std::vector<Json> rejected() const {
    std::vector<Json> rows;
    std::ifstream in(folder_ / "rejected.jsonl");
    for (std::string line; std::getline(in, line);) rows.push_back(Json::parse(line));
    return rows;
  }

  const TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path();
};

/// All rows of a manifest held in memory.
inline std::vector<ManifestRow> rows_of(std::string_view content, const std::string& name) {
  ManifestReader reader(bytes_of(content), name);
  std::vector<ManifestRow> rows;
  while (auto row = reader.next()) rows.push_back(std::move(*row));
  return rows;
}

/// The texts of the prompts; "line N: reason" of a row that is none.
inline std::vector<std::string> texts_of(std::string_view content, const std::string& name) {
  std::vector<std::string> texts;
  for (const ManifestRow& row : rows_of(content, name))
    texts.push_back(row.prompt ? row.prompt->text : concat("line ", row.line, ": ", row.reason));
  return texts;
}

}  // namespace pyracast
