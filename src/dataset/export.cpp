#include "dataset/export.hpp"

#include <algorithm>
#include <cassert>
#include <optional>

#include "base/file.hpp"
#include "base/sha256.hpp"
#include "dataset/derive.hpp"
#include "dataset/join.hpp"
#include "dataset/layout.hpp"
#include "dataset/manifest_files.hpp"
#include "dataset/sample_tally.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/tar_writer.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// One sample to be exported, of which there are millions; its line of metadata, which begins with its video's path, lies in a file.
struct ExportedSample {
  uint64_t begins;   // begin_of() its video
  uint64_t line_at = 0;
  uint32_t line_length = 0;
};

/// Letters behind "videos/", its folders and more, in the order of the texts: all but few videos of a million differ in them.
uint64_t begin_of(std::string_view video) {
  constexpr size_t letters = sizeof(uint64_t), behind = std::string_view("videos/").size();
  uint64_t begin = 0;
  for (size_t i = behind; i < behind + letters; ++i) begin = begin << 8 | (i < video.size() ? uint8_t(video[i]) : 0);
  return begin;
}

/// The path that a line of metadata begins with; safe_name() leaves nothing in it that JSON writes otherwise.
std::string video_of(std::string_view line) {
  constexpr std::string_view before = "{\"file_name\":\"";
  assert(line.starts_with(before));
  return std::string(line.substr(before.size(), line.find('"', before.size()) - before.size()));
}

const char* name_of(ExportFormat format) { return format == ExportFormat::webdataset ? "webdataset" : "videofolder"; }

/// The member names of a sample without their endings. WebDataset ends a key at the first dot of the file's name.
std::string key_of(const std::string& video) {
  const fs::path path = fs::path(video).lexically_relative("videos");
  const std::string stem = path.stem().string();
  const bool plain = stem.find('.') == std::string::npos;
  return (path.parent_path() / (plain ? stem : sha256(stem).substr(0, 16))).string();
}

class Export {
 public:
  Export(const ExportOptions& options, const TellStep& tell)
      : options_(options), tell_(tell), lines_path_(options.to / ".lines.tmp") {}
  ~Export() {
    std::error_code ignored;
    fs::remove(lines_path_, ignored);
  }

  Exported operator()() {
    begin();
    collect();
    const Json plan = plan_of_all();
    if (!agree_on(plan)) return result_;
    if (options_.format == ExportFormat::webdataset) write_tars();
    else write_folder();
    Json done = plan;
    done["complete"] = result_.complete();
    done["files"] = result_.files;
    done["bytes"] = result_.bytes;
    write_atomically(options_.to / "export.json", done.dump(1) + "\n");
    return result_;
  }

 private:
  const ExportOptions& options_;
  const TellStep& tell_;
  fs::path lines_path_;
  std::unique_ptr<ReadFile> lines_;
  std::vector<ExportedSample> samples_;   // by video
  Exported result_;

  void begin() const {
    make_folder(options_.to);
    const bool begun = fs::exists(options_.to / "export.json");
    for (const auto& entry : fs::directory_iterator(options_.to))
      require(begun || entry.path().extension() == ".tmp", options_.to.string(), ": holds ", entry.path().filename().string(),
              " and is no export; use an empty folder");
  }

  void collect() {
    const OutputLayout layout{options_.output};
    std::optional<Manifest> manifest;   // what is left is not known of a dataset that was copied without work/
    if (fs::exists(layout.work() / "manifest.index")) manifest.emplace(layout.root);
    std::optional<SampleTally> tally;
    if (manifest) tally.emplace(*manifest);
    GrowingFile lines(lines_path_);
    const auto shards = sealed_shards(layout.shards());
    for (size_t i = 0; i < shards.size(); ++i) {
      if (tell_) tell_("shards read", i + 1, shards.size());
      for (const SampleRecord& row : read_shard(shards[i])) {
        const bool failed = row.status != int64_t(SampleStatus::done);
        if (tally) tally->add(row.id, row.sample, failed);
        if (failed) continue;
        const std::string line = metadata_line(row);
        samples_.push_back({begin_of(row.video), lines.size(), uint32_t(line.size())});
        lines.append(line);
      }
    }
    lines.close();
    lines_ = std::make_unique<ReadFile>(lines_path_);
    sort_by_video();
    require(!samples_.empty(), options_.output.string(), ": no sealed shard holds a finished sample; end its generate first");
    result_.samples = samples_.size();
    if (tally) result_.left = tally->left();
    result_.missing_parts = unjoined_parts(layout.root);
  }

  /// By what their videos begin with, and those that begin alike, which are few, by the whole.
  void sort_by_video() {
    std::sort(samples_.begin(), samples_.end(), [](const auto& a, const auto& b) { return a.begins < b.begins; });
    for (auto first = samples_.begin(), last = first; first != samples_.end(); first = last) {
      last = std::find_if(first, samples_.end(), [&](const auto& sample) { return sample.begins != first->begins; });
      if (last - first == 1) continue;
      std::vector<std::pair<std::string, ExportedSample>> alike;
      for (auto sample = first; sample != last; ++sample) alike.emplace_back(video_of(line_of(*sample)), *sample);
      std::stable_sort(alike.begin(), alike.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      std::transform(alike.begin(), alike.end(), first, [](const auto& one) { return one.second; });
    }
  }

  std::string line_of(const ExportedSample& sample) const { return lines_->read(sample.line_at, sample.line_length); }

  Json plan_of_all() {
    Sha256 digest;
    for (const ExportedSample& sample : samples_) digest.add(line_of(sample));
    Json plan{{"format", name_of(options_.format)}, {"samples", samples_.size()}, {"sha256_of_metadata", digest.hexadecimal()}};
    if (options_.format == ExportFormat::webdataset) plan["tar_bytes"] = options_.tar_bytes;
    plan["complete"] = false;
    plan["partial"] = !result_.complete();
    plan["left"] = result_.left;
    return plan;
  }

  /// Removes what an export of fewer samples has left that is no part of this one: all tars, for a sample more moves all behind it.
  void begin_anew() {
    fs::remove(options_.to / "metadata.jsonl");
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(options_.to))
      if (entry.is_regular_file()) files.push_back(entry.path());
    for (const fs::path& file : files) {
      const std::string name = file.lexically_relative(options_.to).string();
      if (name.starts_with("videos-") && name.ends_with(".tar")) fs::remove(file);
      if (!name.starts_with("videos/")) continue;
      const auto sample = std::lower_bound(samples_.begin(), samples_.end(), name, [&](const ExportedSample& a, const std::string& b) {
        return a.begins != begin_of(b) ? a.begins < begin_of(b) : video_of(line_of(a)) < b;
      });
      const bool is_sample = sample != samples_.end() && video_of(line_of(*sample)) == name;
      if (!is_sample || Json::parse(line_of(*sample)).at("video_sha256") != sha256_of_file(file)) fs::remove(file);
    }
  }

  /// Begins or goes on; false where all is there already.
  bool agree_on(const Json& plan) {
    const fs::path path = options_.to / "export.json";
    if (!fs::exists(path)) {
      write_atomically(path, plan.dump(1) + "\n");
      return true;
    }
    const Json before = read_json(path);
    const bool partial = before.value("partial", false);   // then there may be more samples now
    for (const auto& [key, item] : plan.items()) {
      const bool may_change = key == "complete" || key == "partial" || key == "left" ||
                              (partial && (key == "samples" || key == "sha256_of_metadata"));
      require(may_change || (before.contains(key) && before.at(key) == item), options_.to.string(),
              ": holds an export of other samples or settings (", key, " was ", before.value(key, Json()).dump(), ", is ", item.dump(),
              "); use an empty folder");
    }
    if (before.value("complete", false) && result_.complete()) {
      result_.files = before.value("files", uint64_t(0));
      result_.bytes = before.value("bytes", uint64_t(0));
      return false;
    }
    if (before.at("sha256_of_metadata") != plan.at("sha256_of_metadata")) {
      result_.before = before.value("samples", uint64_t(0));
      begin_anew();
    }
    write_atomically(path, plan.dump(1) + "\n");
    return true;
  }

  std::string content_of(const std::string& video, const Json& line) const {
    const fs::path path = options_.output / video;
    std::string content = read_file(path);
    const std::string expected = line.at("video_sha256"), found = sha256(content);
    if (found != expected)
      throw Error(concat(path.string(), ": its SHA-256 is ", found, ", the shard says ", expected,
                         "; pyracast verify --put-aside, and the same generate command, mend that"), ExitCode::damaged);
    return content;
  }

  static std::string without_file_name(Json line) {
    line.erase("file_name");
    return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }

  void add_file(uint64_t bytes) {
    ++result_.files;
    result_.bytes += bytes;
  }

  /// Bytes of a sample's three members.
  uint64_t tar_bytes_of(const ExportedSample& sample) const {
    const std::string text = line_of(sample);
    const Json line = Json::parse(text);
    return TarWriter::bytes_of(fs::file_size(options_.output / video_of(text))) + TarWriter::bytes_of(without_file_name(line).size()) +
           TarWriter::bytes_of(line.at("prompt").get<std::string>().size());
  }

  void write_tars() {
    for (size_t first = 0, number = 0; first < samples_.size(); ++number) {
      size_t last = first;
      for (uint64_t bytes = 0; last < samples_.size(); ++last) {
        bytes += tar_bytes_of(samples_[last]);
        if (last > first && bytes > options_.tar_bytes) break;
      }
      const std::string digits = std::to_string(number);
      const fs::path path = options_.to / concat("videos-", std::string(6 - std::min<size_t>(6, digits.size()), '0'), digits, ".tar");
      if (!fs::exists(path)) write_tar(path, first, last);
      add_file(fs::file_size(path));
      if (tell_) tell_("samples exported", last, samples_.size());
      first = last;
    }
  }

  void write_tar(const fs::path& path, size_t first, size_t last) {
    TarWriter tar(path);
    for (size_t i = first; i < last; ++i) {
      const std::string text = line_of(samples_[i]), video = video_of(text), key = key_of(video);
      const Json line = Json::parse(text);
      tar.add(key + ".mp4", content_of(video, line));
      tar.add(key + ".json", without_file_name(line));
      tar.add(key + ".txt", line.at("prompt").get<std::string>());
    }
    tar.close();
    ++result_.written;
  }

  void write_folder() {
    GrowingFile metadata(options_.to / "metadata.jsonl.tmp");
    for (size_t i = 0; i < samples_.size(); ++i) {
      const std::string line = line_of(samples_[i]), video = video_of(line);
      const fs::path path = options_.to / video;
      if (!fs::exists(path)) {
        make_folder(path.parent_path());
        write_atomically(path, content_of(video, Json::parse(line)));
        ++result_.written;
      }
      add_file(fs::file_size(path));
      metadata.append(line);
      if (tell_) tell_("samples exported", i + 1, samples_.size());
    }
    metadata.close();
    publish(metadata.path(), options_.to / "metadata.jsonl");
    add_file(metadata.size());
  }
};

}  // namespace

Exported export_dataset(const ExportOptions& options, const TellStep& tell) {
  require(fs::is_directory(options.output), options.output.string(), ": is no folder; expected the --output of a generate");
  require(fs::is_directory(OutputLayout{options.output}.shards()), options.output.string(),
          ": holds no dataset (no shards/); expected the --output of a generate");
  const fs::path to = fs::weakly_canonical(options.to).lexically_relative(fs::weakly_canonical(options.output));
  for (const char* own : {"videos", "shards", "journal", "checkpoints", "text", "work", "logs", "quarantine"})
    require(!to.empty() && *to.begin() != own, options.to.string(), ": lies among the dataset's own files; name a folder elsewhere");
  require(options.tar_bytes > 0, "the size of a tar is ", options.tar_bytes, ", expected more than 0");
  return Export(options, tell)();
}

}  // namespace pyracast
