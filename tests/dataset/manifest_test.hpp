#pragma once
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "dataset/manifest_reader.hpp"

namespace pyracast {

/// A test with a folder of its own, removed with all that is in it.
class ManifestTest : public testing::Test {
 protected:
  ManifestTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "pyracast-manifest-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ManifestTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, std::string_view content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }

  /// The objects of rejected.jsonl.
  std::vector<Json> rejected() const {
    std::vector<Json> rows;
    std::ifstream in(folder_ / "rejected.jsonl");
    for (std::string line; std::getline(in, line);) rows.push_back(Json::parse(line));
    return rows;
  }

  std::filesystem::path folder_;
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

template <class Act>
std::string error_of(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace pyracast
