#include "report/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/file.hpp"
#include "dataset/layout.hpp"
#include "dataset/mp4.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/shard_reader.hpp"
#include "metrics/video_drift.hpp"
#include "report/html.hpp"

namespace pyracast {

namespace fs = std::filesystem;

namespace {

using Key = std::pair<std::string, int64_t>;

std::string name_of(const Key& key) { return concat(key.first, ' ', key.second); }

/// A run's folder: where each sample lies.
class RunFolder {
 public:
  explicit RunFolder(const fs::path& folder) : folder_(folder) {
    const fs::path run = folder / "run.json";
    require(fs::exists(run), folder.string(), ": holds no run.json: expected the --output folder of a `pyracast generate` that has ended");
    configuration_ = read_json(run).at("configuration");
    for (const fs::path& shard : sealed_shards(OutputLayout{folder}.shards())) {
      shards_.emplace_back(shard);
      const auto& rows = shards_.back().rows();
      for (size_t row = 0; row < rows.size(); ++row) where_[{rows[row].id, rows[row].sample}] = {shards_.size() - 1, row};
    }
  }

  const fs::path& folder() const { return folder_; }
  const Json& configuration() const { return configuration_; }
  bool has(const Key& key) const { return where_.contains(key); }
  const SampleRecord& row(const Key& key) const {
    const auto [shard, row] = where_.at(key);
    return shards_[shard].rows()[row];
  }
  SampleRecord whole(const Key& key) const {
    const auto [shard, row] = where_.at(key);
    return shards_[shard].whole(row);
  }
  std::vector<Key> keys() const {
    std::vector<Key> keys;
    for (const auto& [key, where] : where_) keys.push_back(key);
    return keys;
  }

 private:
  fs::path folder_;
  Json configuration_;
  std::vector<ShardReader> shards_;
  std::map<Key, std::pair<size_t, size_t>> where_;
};

bool failed(const SampleRecord& row) { return row.status != int64_t(SampleStatus::done); }

void check_same_work(const SampleRecord& a, const SampleRecord& b, const RunFolder* const runs[2]) {
  const auto check = [&](const char* what, const auto& in_a, const auto& in_b) {
    require(in_a == in_b, "sample ", a.id, ' ', a.sample, ": its ", what, " is ", in_a, " in ", runs[0]->folder().string(), " and ", in_b,
            " in ", runs[1]->folder().string(), ": compare two runs of one manifest, of the same sizes and seed");
  };
  check("prompt", a.prompt, b.prompt);
  check("seed", a.seed, b.seed);
  check("number of frames", a.frames, b.frames);
  check("height", a.height, b.height);
  check("width", a.width, b.width);
}

/// RMS of the difference over RMS of the first.
std::optional<double> drift_of_latents(std::span<const float> a, std::span<const float> b) {
  const auto squared = relative_mse(a, b);
  return squared ? std::optional(std::sqrt(*squared)) : std::nullopt;
}

double sum_of(const std::array<float, step_phases.size()>& phases) { return std::accumulate(phases.begin(), phases.end(), 0.0); }

void add_steps(SampleComparison& out, const SampleRecord& a, const SampleRecord& b) {
  const size_t steps = a.step_seconds.size();
  if (steps != b.step_seconds.size()) return;
  const bool latents = a.step_latents.shape == b.step_latents.shape && a.step_latents.values.size() == b.step_latents.values.size() &&
                       steps > 0 && !a.step_latents.values.empty();
  const size_t each = latents ? a.step_latents.values.size() / steps : 0;
  for (size_t step = 0; step < steps; ++step) {
    StepComparison& here = out.steps.emplace_back();
    here.seconds[0] = sum_of(a.step_seconds[step]);
    here.seconds[1] = sum_of(b.step_seconds[step]);
    if (latents) here.drift = drift_of_latents(std::span(a.step_latents.values).subspan(step * each, each),
                                               std::span(b.step_latents.values).subspan(step * each, each));
  }
}

void add_costs(RunTotals& total, const SampleRecord& record) {
  for (const auto& step : record.step_seconds) total.denoising_seconds += sum_of(step);
  total.seconds += record.making_seconds();
  constexpr size_t attention_branches = 4;   // the first counters: self and cross attentions
  for (const auto& counts : record.step_counts)
    for (size_t branch = 0; branch < attention_branches; ++branch) {
      const int64_t all = record.step_counts.front()[branch];   // the first evaluation computes everything
      total.attentions += all;
      total.attentions_reused += all - counts[branch];
    }
  for (const auto& counts : record.step_counts) {
    total.bytes_sent += counts[step_counter("all_to_all_bytes")];
    total.bytes_avoided += counts[step_counter("all_to_all_bytes_avoided")];
  }
}

/// Frames [frames, 3, height, width] in -1 to 1.
Tensor pictures_of(const Video& video, Backend& backend) {
  std::vector<float> values;
  for (int frame = 0; frame < video.frames; ++frame)
    for (const float value : frame_of(video, frame).values) values.push_back(2 * value - 1);
  return Tensor(backend, {video.frames, 3, video.height, video.width}, values);
}

SampleComparison compare_sample(const SampleRecord& a, const SampleRecord& b, const Video& of_a, const Video& of_b, const Lpips* lpips,
                                Backend& backend) {
  SampleComparison out;
  out.id = a.id;
  out.prompt = a.prompt;
  out.sample = a.sample;
  out.frames = of_a.frames;
  out.height = of_a.height;
  out.width = of_a.width;
  VideoDrift drift = drift_of(of_a, of_b);
  out.psnr = std::move(drift.psnr);
  out.mean_psnr = drift.mean_psnr;
  out.mean_ssim = drift.mean_ssim;
  if (lpips && of_a.height >= lpips_smallest && of_a.width >= lpips_smallest) {
    const std::vector<double> distances = (*lpips)(pictures_of(of_a, backend), pictures_of(of_b, backend));
    out.mean_lpips = std::accumulate(distances.begin(), distances.end(), 0.0) / double(distances.size());
  }
  out.latents_drift = drift_of_latents(a.latents.values, b.latents.values);
  add_steps(out, a, b);
  if (!out.latents_drift && !out.steps.empty()) out.latents_drift = out.steps.back().drift;
  const SampleRecord* const records[] = {&a, &b};
  for (int run = 0; run < 2; ++run) {
    for (const auto& step : records[run]->step_seconds) out.denoising_seconds[run] += sum_of(step);
    out.seconds[run] = records[run]->making_seconds();
  }
  return out;
}

/// Settings of one group or of none, as "group.name".
std::map<std::string, std::string> flat(const Json& configuration) {
  std::map<std::string, std::string> out;
  for (const auto& [name, item] : configuration.items()) out[name] = text_of(item);
  return out;
}

std::optional<double> ratio(double a, double b) {
  if (!(b > 0)) return std::nullopt;
  return a / b;
}

template <class... Parts>
std::string line(const char* format, Parts... parts) {
  char text[512];
  std::snprintf(text, sizeof text, format, parts...);
  return text;
}

Json or_null(const std::optional<double>& value) { return value && std::isfinite(*value) ? Json(*value) : Json(); }

}  // namespace

double DatasetComparison::mean(const std::function<std::optional<double>(const SampleComparison&)>& of) const {
  double sum = 0;
  size_t count = 0;
  for (const SampleComparison& sample : samples)
    if (const auto value = of(sample)) {
      sum += *value;
      ++count;
    }
  return count ? sum / double(count) : std::nan("");
}

DatasetComparison compare_datasets(const fs::path& a, const fs::path& b, const Lpips* lpips, Backend& backend,
                                   const std::function<void(size_t, size_t)>& told) {
  const RunFolder first(a), second(b);
  const RunFolder* const runs[] = {&first, &second};
  DatasetComparison out;
  if (lpips) out.lpips = lpips->backbone();
  std::vector<Key> both;
  for (int run = 0; run < 2; ++run) {
    out.runs[run].folder = runs[run]->folder().string();
    out.runs[run].configuration = runs[run]->configuration();
    for (const Key& key : runs[run]->keys()) {
      if (failed(runs[run]->row(key))) out.failed[run].push_back(name_of(key));
      if (!runs[1 - run]->has(key)) out.only_in[run].push_back(name_of(key));
      else if (run == 0 && !failed(first.row(key)) && !failed(second.row(key))) both.push_back(key);
    }
  }
  require(!both.empty(), "no sample was made both in ", a.string(), " and in ", b.string(), ": compare two runs of one manifest");
  const auto settings_a = flat(first.configuration()), settings_b = flat(second.configuration());
  for (const auto& [name, value] : settings_a)
    if (const auto other = settings_b.find(name); name != "output" && (other == settings_b.end() || other->second != value))
      out.settings.push_back({name, value, other == settings_b.end() ? "" : other->second});
  for (const auto& [name, value] : settings_b)
    if (!settings_a.contains(name)) out.settings.push_back({name, "", value});

  for (const Key& key : both) {
    check_same_work(first.row(key), second.row(key), runs);
    SampleRecord records[] = {first.whole(key), second.whole(key)};
    Video videos[2];
    const bool kept = records[0].pixels && records[1].pixels;   // else both from MP4: one behind the codec alone would differ
    out.pixels_kept = out.pixels_kept && kept;
    for (int run = 0; run < 2; ++run) {
      const fs::path path = runs[run]->folder() / records[run].video;
      videos[run] = kept ? std::move(*records[run].pixels) : read_mp4(path);
      add_costs(out.runs[run], records[run]);
    }
    require(videos[0].frames == videos[1].frames && videos[0].height == videos[1].height && videos[0].width == videos[1].width,
            "the videos of sample ", name_of(key), " are ", videos[0].frames, " x ", videos[0].height, " x ", videos[0].width, " and ",
            videos[1].frames, " x ", videos[1].height, " x ", videos[1].width, ": expected the same size");
    out.samples.push_back(compare_sample(records[0], records[1], videos[0], videos[1], lpips, backend));
    for (int run = 0; run < 2; ++run) {
      out.samples.back().video[run] = (runs[run]->folder() / records[run].video).string();
    }
    if (told) told(out.samples.size(), both.size());
  }
  return out;
}

std::string comparison_table(const DatasetComparison& c) {
  const auto mean_of = [&](auto member) { return c.mean([&](const SampleComparison& s) { return std::optional<double>(s.*member); }); };
  std::string out = line("%zu samples of %s and %s\n\n", c.samples.size(), c.runs[0].folder.c_str(), c.runs[1].folder.c_str());
  for (const auto& [name, here, there] : c.settings) out += line("  %-20s %s -> %s\n", name.c_str(), here.c_str(), there.c_str());
  out += line("\n%-26s %9s %9s %9s\n", "alike", "mean", "worst", "best");
  const auto row = [&](const char* name, auto member, bool small_is_good) {
    double least = INFINITY, most = -INFINITY;
    for (const SampleComparison& s : c.samples)
      if (const std::optional<double> value = s.*member) {
        least = std::min(least, *value);
        most = std::max(most, *value);
      }
    if (least <= most) out += line("%-26s %9.4f %9.4f %9.4f\n", name, mean_of(member), small_is_good ? most : least, small_is_good ? least : most);
  };
  row("PSNR (dB)", &SampleComparison::mean_psnr, false);
  row("SSIM", &SampleComparison::mean_ssim, false);
  row("LPIPS", &SampleComparison::mean_lpips, true);
  row("drift of the last latents", &SampleComparison::latents_drift, true);
  if (c.lpips.empty()) out += "LPIPS was not computed: give --lpips-backbone and --lpips-heads\n";
  out += line("\n%-26s %12s %12s %9s\n", "cost", "first", "second", "ratio");
  const auto cost = [&](const char* name, double a, double b) { out += line("%-26s %12.3f %12.3f %9.3f\n", name, a, b, ratio(a, b).value_or(NAN)); };
  cost("denoising, s a sample", c.runs[0].denoising_seconds / double(c.samples.size()), c.runs[1].denoising_seconds / double(c.samples.size()));
  cost("all, s a sample", c.runs[0].seconds / double(c.samples.size()), c.runs[1].seconds / double(c.samples.size()));
  const auto counts = [&](const char* name, double a, double b) { out += line("%-26s %12.1f %12.1f\n", name, a, b); };
  const auto reused = [&](int run) { return c.runs[run].attentions ? 100 * double(c.runs[run].attentions_reused) / double(c.runs[run].attentions) : 0; };
  counts("attentions reused, %", reused(0), reused(1));
  if (c.runs[0].bytes_sent || c.runs[1].bytes_sent)
    counts("all-to-all, MiB a rank", double(c.runs[0].bytes_sent) / (1 << 20), double(c.runs[1].bytes_sent) / (1 << 20));
  for (int run = 0; run < 2; ++run) {
    if (!c.only_in[run].empty()) out += line("%zu samples are only in %s\n", c.only_in[run].size(), c.runs[run].folder.c_str());
    if (!c.failed[run].empty()) out += line("%zu samples failed in %s\n", c.failed[run].size(), c.runs[run].folder.c_str());
  }
  if (!c.pixels_kept) out += "pixels were read from MP4 files: the codec's loss counts (--save frames keeps them)\n";
  return out;
}

Json comparison_json(const DatasetComparison& c) {
  Json out;
  for (const RunTotals& run : c.runs)
    out["runs"].push_back({{"folder", run.folder}, {"configuration", run.configuration}, {"denoising_seconds", run.denoising_seconds},
                           {"seconds", run.seconds}, {"attentions", run.attentions}, {"attentions_reused", run.attentions_reused},
                           {"all_to_all_bytes", run.bytes_sent}, {"all_to_all_bytes_avoided", run.bytes_avoided}});
  out["settings_that_differ"] = Json::array();
  for (const auto& [name, here, there] : c.settings) out["settings_that_differ"].push_back({{"name", name}, {"first", here}, {"second", there}});
  out["only_in"] = {c.only_in[0], c.only_in[1]};
  out["failed"] = {c.failed[0], c.failed[1]};
  out["pixels"] = c.pixels_kept ? "frames before encoding" : "decoded MP4 files";
  out["lpips_backbone"] = c.lpips.empty() ? Json() : Json(c.lpips);
  const auto mean_of = [&](auto member) { return or_null(c.mean([&](const SampleComparison& s) { return std::optional<double>(s.*member); })); };
  out["mean"] = {{"psnr", mean_of(&SampleComparison::mean_psnr)}, {"ssim", mean_of(&SampleComparison::mean_ssim)},
                 {"lpips", mean_of(&SampleComparison::mean_lpips)}, {"latents_drift", mean_of(&SampleComparison::latents_drift)}};
  out["speed_up"] = {{"denoising", or_null(ratio(c.runs[0].denoising_seconds, c.runs[1].denoising_seconds))},
                     {"all", or_null(ratio(c.runs[0].seconds, c.runs[1].seconds))}};
  for (const SampleComparison& s : c.samples) {
    Json sample{{"id", s.id}, {"sample", s.sample}, {"prompt", s.prompt}, {"psnr", s.mean_psnr}, {"psnr_of_frames", s.psnr},
                {"ssim", or_null(s.mean_ssim)}, {"lpips", or_null(s.mean_lpips)}, {"latents_drift", or_null(s.latents_drift)},
                {"denoising_seconds", s.denoising_seconds}, {"seconds", s.seconds}};
    sample["steps"] = Json::array();
    for (const StepComparison& step : s.steps) sample["steps"].push_back({{"seconds", step.seconds}, {"drift", or_null(step.drift)}});
    out["samples"].push_back(std::move(sample));
  }
  return out;
}

}  // namespace pyracast
