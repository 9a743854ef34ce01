#include "production/sample_progress.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/log.hpp"
#include "base/stopwatch.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

constexpr size_t kept = 2;
constexpr double evaluations_time_for_saving = 19;   // so many times that of a save
constexpr const char* progress_ending = ".safetensors";

/// Where a sample's files lie, and how their names begin: as its video's.
std::pair<fs::path, std::string> place_of(const fs::path& output, const std::string& id, int64_t sample) {
  const fs::path video = video_path(id, int(sample));
  return {OutputLayout{output}.checkpoints() / video.parent_path().filename(), video.stem().string() + '.'};
}

/// The number of evaluations in a file's name; nothing where it is no name of this sample's.
std::optional<int64_t> evaluations_in(const std::string& file, const std::string& name) {
  if (!file.starts_with(name) || !file.ends_with(progress_ending)) return std::nullopt;
  const char *first = file.data() + name.size(), *last = file.data() + file.size() - std::string_view(progress_ending).size();
  int64_t evaluations = 0;
  const auto [end, error] = std::from_chars(first, last, evaluations);
  return error == std::errc() && end == last ? std::optional(evaluations) : std::nullopt;
}

std::vector<fs::path> files_of(const fs::path& folder, const std::string& name) {
  std::vector<std::pair<int64_t, fs::path>> found;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (const auto evaluations = evaluations_in(entry.path().filename().string(), name)) found.emplace_back(*evaluations, entry.path());
  std::sort(found.rbegin(), found.rend());
  std::vector<fs::path> files;
  for (auto& [evaluations, path] : found) files.push_back(std::move(path));
  return files;
}

void remove_quietly(const fs::path& path) {
  std::error_code ignored;   // what stays is found again, and does no harm
  fs::remove(path, ignored);
}

}  // namespace

SaveInterval::SaveInterval(const std::string& text) {
  if (text == "never") return;
  const bool by_clock = text.ends_with('s');
  double number = 0;
  const char* last = text.data() + text.size() - by_clock;
  const auto [end, error] = std::from_chars(text.data(), last, number);
  require(error == std::errc() && end == last && number > 0 && std::isfinite(number) && (by_clock || (number == std::floor(number) && number < 1e9)),
          "checkpoint-every is \"", text, "\", expected seconds (60s), a number of evaluations (10), or never");
  if (by_clock) seconds = number;
  else evaluations = int(number);
}

SampleProgress::SampleProgress(const fs::path& output, ProgressLabel label, SaveInterval interval, EarlierSaves& earlier)
    : label_(std::move(label)), interval_(interval), earlier_(earlier) {
  std::tie(folder_, name_) = place_of(output, label_.id, label_.sample);
}

std::vector<fs::path> SampleProgress::files() const { return files_of(folder_, name_); }

std::optional<VideoProgress> SampleProgress::newest() const {
  for (const fs::path& path : files()) {
    try {
      LabelledProgress read = read_progress(path);
      require(read.label == label_, path.string(), ": is of another sample, or of other settings");
      return std::move(read.progress);
    } catch (const Error& error) {
      spdlog::warn("{}; it is not gone on with", error.what());
    }
  }
  return std::nullopt;
}

bool SampleProgress::is_due(int evaluations, double seconds, double saving) const {
  return (interval_.evaluations && evaluations >= interval_.evaluations) ||
         (interval_.seconds > 0 && seconds >= std::max(interval_.seconds, evaluations_time_for_saving * saving));
}

void SampleProgress::save(const VideoProgress& progress, const StoredOutputs& outputs) noexcept {
  try {
    const fs::path path = folder_ / concat(name_, progress.result.evaluations.size(), progress_ending);
    const Stopwatch time;
    make_folder(folder_);
    write_progress(path, label_, progress, outputs);
    earlier_.time.took(int64_t(fs::file_size(path)), time.seconds());
    const auto all = files();
    for (size_t i = kept; i < all.size(); ++i) remove_quietly(all[i]);
    spdlog::info("{} sample {}: progress saved after {} evaluations, {} stored outputs with it", label_.id, label_.sample,
                 progress.result.evaluations.size(), outputs.sites.size());
    earlier_.failed = false;
  } catch (const std::exception& error) {
    if (!earlier_.failed) spdlog::warn("{} sample {}: its progress is not saved: {}", label_.id, label_.sample, error.what());
    earlier_.failed = true;
  }
}

void remove_progress(const fs::path& output, const std::function<bool(const ProgressLabel&)>& is_wanted) {
  const fs::path folder = OutputLayout{output}.checkpoints();
  if (!fs::is_directory(folder)) return;
  std::vector<fs::path> unwanted, folders{folder};
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory()) folders.push_back(entry.path());
    if (!entry.is_regular_file()) continue;
    bool wanted = false;
    try {
      wanted = entry.path().extension() == progress_ending && is_wanted(label_of_progress(entry.path()));
    } catch (const Error& error) {
      spdlog::warn("{}; it is removed", error.what());
    }
    if (!wanted) unwanted.push_back(entry.path());
  }
  for (const fs::path& path : unwanted) remove_quietly(path);
  for (auto at = folders.rbegin(); at != folders.rend(); ++at) remove_quietly(*at);   // none that still holds something goes
}

void remove_progress_of(const fs::path& output, const std::string& id, int64_t sample) {
  const auto [folder, name] = place_of(output, id, sample);
  for (const fs::path& path : files_of(folder, name)) remove_quietly(path);
}

}  // namespace pyracast
