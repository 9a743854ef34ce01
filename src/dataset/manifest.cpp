#include "dataset/manifest.hpp"

#include <unistd.h>

#include <cmath>
#include <cstring>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "dataset/manifest_reader.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

fs::path work_folder(const fs::path& output) { return output / "work"; }
fs::path index_path(const fs::path& output) { return work_folder(output) / "manifest.index"; }
fs::path rejected_path(const fs::path& output) { return output / "rejected.jsonl"; }

/// Named after their content, so that index and rows of two manifests cannot be taken together.
fs::path rows_path(const fs::path& output, std::string_view fingerprint) {
  return work_folder(output) / concat("manifest-", fingerprint.substr(0, 16), ".jsonl");
}

/// A file's name until it is whole; what is left of it at the end, on an error, is removed.
class TemporaryName {
 public:
  TemporaryName(const fs::path& folder, const char* what)
      : path_(folder / concat("manifest.", what, ".", ::getpid(), ".tmp")) {}
  ~TemporaryName() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;
  operator const fs::path&() const { return path_; }

 private:
  fs::path path_;
};

/// The folder, without what a killed run left in it.
const fs::path& prepared(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail_at_the_disk(folder, "cannot be made", error.value());
  for (const auto& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (name.starts_with("manifest.") && name.ends_with(".tmp")) fs::remove(file.path());
  }
  return folder;
}

/// Takes the rows of a manifest one by one and writes the files of a Manifest.
class ManifestBuilder {
 public:
  ManifestBuilder(std::string name, fs::path output, const ManifestOptions& options)
      : name_(std::move(name)), output_(std::move(output)), options_(options), work_(prepared(work_folder(output_))) {}

  void take(const ManifestRow& row) {
    ++rows_seen_;
    if (!row.prompt) return reject(row, row.reason);
    const uint64_t hash = hash_of_id(row.prompt->id);
    if (hash % options_.parts != options_.part) return;
    if (const auto earlier = same_id(row.prompt->id, hash)) {
      const std::string difference = first_difference(earlier->second, *row.prompt);
      if (!difference.empty())
        return reject(row, concat("the id \"", row.prompt->id, "\" stands in line ", earlier->first,
                                  " already, with another row: ", difference));
      ++merged_;
      return;
    }
    double cost = 1;
    try {  // around the run's own checks only: a full disk is no fault of the row
      if (options_.check)
        if (const auto reason = options_.check(*row.prompt)) fail(*reason);
      if (options_.cost) cost = options_.cost(*row.prompt);
      require(std::isfinite(cost) && cost >= 0, "its cost is ", cost, ", expected a number of 0 or more");
    } catch (const Error& error) {
      return reject(row, error.what());
    }
    store(*row.prompt, hash, uint64_t(row.line), cost);
  }

  void finish() {
    rejected_.close();
    if (rejected_count_ > 0)
      publish(rejected_.path(), rejected_path(output_));
    else
      fs::remove(rejected_path(output_));
    require(rejected_count_ == 0 || (!options_.strict && index_.size() > 0), name_, ": ", rejected_count_, " of ",
            counted(rows_seen_, "row is", "rows are"), " wrong, ", options_.strict ? "and strict allows none" : "so no prompt is left",
            "; the first is line ", first_rejected_, "; all are listed in ", rejected_path(output_).string());
    require(index_.size() > 0, name_, ": holds no prompt",
            options_.parts > 1 ? concat(" of part ", options_.part, " of ", options_.parts, "; make fewer parts") : "");
    publish_rows();
  }

 private:
  void store(const Prompt& prompt, uint64_t hash, uint64_t line, double cost) {
    const std::string row = to_json_line(prompt) + "\n";
    ids_.insert(hash, index_.size());
    index_.add({.offset = rows_.size(),
                .first_sample = samples_,
                .line = line,
                .cost = cost,
                .length = uint32_t(row.size() - 1),
                .samples = uint32_t(prompt.samples)});
    samples_ += uint64_t(prompt.samples);
    digest_.add(row);
    rows_.append(row);
  }

  /// The line and row of the prompt that has this id.
  std::optional<std::pair<uint64_t, Prompt>> same_id(const std::string& id, uint64_t hash) {
    std::optional<std::pair<uint64_t, Prompt>> found;
    ids_.find(hash, [&](uint64_t prompt) {
      const PromptEntry entry = index_.read_back(prompt);
      found.emplace(entry.line, prompt_from_json(rows_.read_back(entry.offset, entry.length)));
      if (found->second.id != id) found.reset();
      return found.has_value();
    });
    return found;
  }

  void reject(const ManifestRow& row, const std::string& reason) {
    if (rejected_count_++ == 0) first_rejected_ = concat(row.line, ": ", reason);
    Json record = {{"line", row.line}, {"reason", reason}, {"text", row.text.substr(0, valid_utf8_bytes(row.text))}};
    if (row.prompt) record["id"] = row.prompt->id;   // a prompt, but one that the model or an earlier row forbids
    rejected_.append(record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }

  void publish_rows() {
    PromptIndexHeader header;
    header.merged = merged_;
    header.rejected = rejected_count_;
    header.rows_bytes = rows_.size();
    const std::string fingerprint = digest_.hexadecimal();
    std::memcpy(header.fingerprint, fingerprint.data(), sizeof(header.fingerprint));
    const fs::path rows = rows_path(output_, fingerprint);
    rows_.close();
    publish(rows_.path(), rows);
    index_.publish(header, ids_, index_path(output_));
    for (const auto& file : fs::directory_iterator(work_)) {
      const std::string name = file.path().filename().string();
      if (name.starts_with("manifest-") && file.path() != rows) fs::remove(file.path());
    }
  }

  std::string name_;
  fs::path output_;
  const ManifestOptions& options_;
  fs::path work_;
  TemporaryName rows_name_{work_, "rows"}, index_name_{work_, "index"}, rejected_name_{work_, "rejected"};
  GrowingFile rows_{rows_name_}, rejected_{rejected_name_};
  PromptIndexWriter index_{index_name_};
  IdTable ids_{work_};
  Sha256 digest_;
  uint64_t rows_seen_ = 0, samples_ = 0, merged_ = 0, rejected_count_ = 0;
  std::string first_rejected_;
};

}  // namespace

Manifest Manifest::build(const std::string& source, const fs::path& output, const ManifestOptions& options) {
  return build(open_bytes(source), source == "-" ? "standard input" : source, output, options);
}

Manifest Manifest::build(ByteSource source, const std::string& name, const fs::path& output,
                         const ManifestOptions& options) {
  ManifestReader reader(std::move(source), name);
  ManifestBuilder builder(name, output, options);
  size_t rows = 0;
  while (const auto row = reader.next()) {
    builder.take(*row);
    if (++rows % 1024 == 0 && options.tell) options.tell("rows of the manifest checked and indexed", rows, 0);
  }
  builder.finish();
  return Manifest(output);
}

Manifest::Manifest(const fs::path& output) : index_(std::make_unique<PromptIndex>(index_path(output))) {
  const fs::path rows = rows_path(output, fingerprint());
  rows_ = std::make_unique<ReadFile>(rows);
  require(rows_->size() == index_->header().rows_bytes, rows.string(), ": has ", rows_->size(), " bytes, expected ",
          index_->header().rows_bytes, "; remove ", index_path(output).string(), " and start again from the manifest");
}

std::string Manifest::fingerprint() const {
  return {index_->header().fingerprint, sizeof(index_->header().fingerprint)};
}

Prompt Manifest::row(uint64_t prompt) const {
  const PromptEntry& found = entry(prompt);
  return prompt_from_json(rows_->read(found.offset, found.length));
}

void Manifest::check() const {
  Sha256 digest;
  uint64_t samples = 0;
  for (uint64_t prompt = 0; prompt < size(); ++prompt) {
    const PromptEntry& at = entry(prompt);
    const std::string text = rows_->read(at.offset, at.length + 1);
    digest.add(text);
    const Prompt row = prompt_from_json(std::string_view(text).substr(0, at.length));
    require(at.first_sample == samples && at.samples == uint32_t(row.samples) && find_by_hash(row.id) == prompt,
            "the index of the manifest and its row ",
            prompt + 1, " (\"", row.id, "\") do not fit");
    samples += at.samples;
  }
  require(samples == total_samples() && digest.hexadecimal() == fingerprint(),
          "the rows of the manifest do not fit their fingerprint ", fingerprint());
}

std::optional<uint64_t> Manifest::find_by_hash(std::string_view id) const {
  const auto found = index_->with_hash(hash_of_id(id));
  if (found.size() > 1) return find(id);
  return found.empty() ? std::nullopt : std::optional(found[0].prompt);
}

std::optional<uint64_t> Manifest::find(std::string_view id) const {
  for (const IdSlot& slot : index_->with_hash(hash_of_id(id)))
    if (row(slot.prompt).id == id) return slot.prompt;
  return std::nullopt;
}

}  // namespace pyracast
