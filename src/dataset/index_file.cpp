#include "dataset/index_file.hpp"

#include <type_traits>
#include <variant>

#include "base/file.hpp"
#include "base/json.hpp"
#include "dataset/child_process.hpp"
#include "dataset/seal.hpp"

namespace pyracast {

namespace {

constexpr hsize_t indexed_rows_a_chunk = 512;   // an index of few rows is a small file, and a chunk of numbers is a page

template <class Member>
using Stored = std::conditional_t<std::is_same_v<Member, std::string>, const char*, Member>;
using IndexColumn = std::variant<std::vector<const char*>, std::vector<int64_t>, std::vector<uint64_t>, std::vector<double>>;

/// In the order of SampleRecord::fields.
std::vector<IndexColumn> empty_columns() {
  std::vector<IndexColumn> columns;
  const SampleRecord names;
  SampleRecord::fields([&]<class Member>(SampleGroup, const char*, const Member&) { columns.push_back(std::vector<Stored<Member>>()); }, names);
  return columns;
}

Error not_written(const std::filesystem::path& path, const Error& error) {
  return Error(concat(path.string(), ": the index cannot be written: ", error.what()), ExitCode::environment);
}

}  // namespace

IndexFile::IndexFile(const std::filesystem::path& temporary) try
    : temporary_(temporary), file_(hdf5::create_file(temporary)), content_(hdf5::create_group(file_, "content")),
      provenance_(hdf5::create_group(file_, "provenance")), text_(hdf5::string_type()) {
  hdf5::write_attribute(file_, "format", "pyracast index");
  hdf5::write_attribute(file_, "format_version", index_format_version);
  const SampleRecord names;
  SampleRecord::fields([&]<class Member>(SampleGroup group, const char* name, const Member&) {
    hid_t type = text_;
    if constexpr (!std::is_same_v<Member, std::string>) type = hdf5::type_of<Member>();
    columns_.emplace_back(group == SampleGroup::content ? content_ : provenance_, name, type, std::vector<hsize_t>(), indexed_rows_a_chunk);
  }, names);
} catch (const Error& error) {
  throw not_written(temporary, error);
}

void IndexFile::append(const std::string& name, const std::string& sha256, const std::vector<SampleRecord>& rows) try {
  std::vector<IndexColumn> columns = empty_columns();
  for (const SampleRecord& row : rows) {
    auto column = columns.begin();
    SampleRecord::fields([&]<class Member>(SampleGroup, const char*, const Member& member) {
      auto& values = std::get<std::vector<Stored<Member>>>(*column++);
      if constexpr (std::is_same_v<Member, std::string>) values.push_back(member.c_str());
      else values.push_back(member);
    }, row);
  }
  for (size_t i = 0; i < columns.size(); ++i)
    std::visit([&](const auto& values) { columns_[i].append(values.data(), values.size()); }, columns[i]);
  names_.push_back(name);
  hashes_.push_back(sha256);
  rows_.push_back(int64_t(rows.size()));
} catch (const Error& error) {
  throw not_written(temporary_, error);
}

void IndexFile::publish_as(const std::filesystem::path& path, const std::string& fingerprint) try {
  for (hdf5::GrowingDataset& column : columns_) column.close();
  hdf5::Handle list = hdf5::create_group(file_, "shards");
  hdf5::write_dataset(list, "name", names_);
  hdf5::write_dataset(list, "rows", rows_);
  hdf5::write_dataset(list, "sha256", hashes_);
  list.close("writing the list of shards");
  content_.close("closing /content");
  provenance_.close("closing /provenance");
  file_.close("closing");
  append_seal(temporary_, fingerprint);
  publish(temporary_, path);
} catch (const Error& error) {
  throw not_written(temporary_, error);
}

IndexedShards shards_in_index(const std::filesystem::path& path) {
  const Json json = Json::parse(in_child_process([&] {
    const hdf5::Handle file = hdf5::open_file(path);
    return Json{{"version", hdf5::read_number_attribute(file, "format_version")},
                {"names", hdf5::read_dataset<std::string>(file, "shards/name")},
                {"hashes", hdf5::read_dataset<std::string>(file, "shards/sha256")},
                {"rows", hdf5::read_dataset<int64_t>(file, "shards/rows")}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  }));
  IndexedShards list{json["version"], json["names"], json["hashes"], json["rows"]};
  require(list.hashes.size() == list.names.size() && list.rows.size() == list.names.size(), "shards/name has ", list.names.size(),
          " rows, shards/sha256 ", list.hashes.size(), ", shards/rows ", list.rows.size());
  return list;
}

}  // namespace pyracast
