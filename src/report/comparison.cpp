#include "report/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <numeric>
#include <tuple>

#include "base/counted.hpp"
#include "base/file.hpp"
#include "dataset/layout.hpp"
#include "dataset/mp4.hpp"
#include "dataset/prompt_index.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/shard_reader.hpp"
#include "metrics/video_drift.hpp"
#include "report/html.hpp"

namespace pyracast {

namespace fs = std::filesystem;

namespace {

std::string name_of(const SampleRecord& row) { return concat(row.id, ' ', row.sample); }

bool failed(const SampleRecord& row) { return row.status != int64_t(SampleStatus::done); }

/// Of a sample's name, wide enough that no two of millions have the same: the second one begins otherwise, and does not share the first one's
/// collisions.
using NameHash = std::array<uint64_t, 2>;
NameHash hash_of(const std::string& name) { return {hash_of_id(name), hash_of_id('\n' + name)}; }

/// Where a row lies; 24 bytes, of which there are millions.
struct Place {
  NameHash sample;
  uint32_t shard, row : 31, failed : 1;
};

/// Where both runs have a sample.
struct Pair {
  uint32_t shard[2], row[2];
};

/// A run's folder: where each sample lies, and the shards that are being read.
class RunFolder {
 public:
  /// Shards that cannot be read are told in `not_comparable`.
  RunFolder(const fs::path& folder, FirstOfMany& failures, FirstOfMany& not_comparable, const TellStep& tell) : folder_(folder) {
    const fs::path run = folder / "run.json";
    require(fs::exists(run), folder.string(), ": holds no run.json: expected the --output folder of a `pyracast generate` that has ended");
    configuration_ = read_json(run).at("configuration");
    shards_ = sealed_shards(OutputLayout{folder}.shards());
    for (size_t shard = 0; shard < shards_.size(); ++shard) try {
      if (tell) tell("shards read", shard + 1, shards_.size());
      const auto rows = read_shard(shards_[shard]);
      for (size_t row = 0; row < rows.size(); ++row) {
        places_.push_back({hash_of(name_of(rows[row])), uint32_t(shard), uint32_t(row), failed(rows[row])});
        if (failed(rows[row])) failures.add(name_of(rows[row]));
      }
    } catch (const Error& error) {
      if (error.code == ExitCode::environment) throw;   // the file may be sound
      not_comparable.add(error.what());
    }
    const auto order = [](const Place& place) { return std::tuple(place.sample, place.shard, uint32_t(place.row)); };
    std::sort(places_.begin(), places_.end(), [&](const Place& a, const Place& b) { return order(a) < order(b); });
    const auto same = [](const Place& a, const Place& b) { return a.sample == b.sample; };
    places_.erase(std::unique(places_.begin(), places_.end(), same), places_.end());
  }

  const fs::path& folder() const { return folder_; }
  const Json& configuration() const { return configuration_; }
  /// By their samples' hashes.
  const std::vector<Place>& places() const { return places_; }
  void forget_places() { places_ = {}; }

  /// Counts them, and reads the first ones' names.
  void name(std::vector<Place> places, FirstOfMany& names) const {
    std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return std::pair(a.shard, a.row) < std::pair(b.shard, b.row); });
    std::vector<SampleRecord> rows;
    for (size_t i = 0; i < places.size() && i < FirstOfMany::most; ++i) {
      if (i == 0 || places[i].shard != places[i - 1].shard) rows = read_shard(shards_[places[i].shard], ShardCheck::columns);
      names.add(name_of(rows.at(places[i].row)));
    }
    names.count = places.size();
  }

  SampleRecord whole(uint32_t shard, uint32_t row) {
    auto found = open_.find(shard);
    if (found == open_.end()) found = open_.emplace(shard, ShardReader(shards_[shard], ShardCheck::columns)).first;
    return found->second.whole(row);
  }
  void close_shards() { open_.clear(); }

 private:
  fs::path folder_;
  Json configuration_;
  std::vector<fs::path> shards_;
  std::vector<Place> places_;
  std::map<uint32_t, ShardReader> open_;
};

/// Some shards of the first run are read at a time, and those of the second one after the other: each is opened few times, however the
/// samples were dealt out.
uint32_t group_of(const Pair& pair) { return pair.shard[0] / 16; }

/// What both runs have made, in the order in which it is read; tells what is only in one of them.
std::vector<Pair> pairs_of(const RunFolder& first, const RunFolder& second, DatasetComparison& out) {
  std::vector<Pair> pairs;
  std::vector<Place> alone[2];
  auto b = second.places().begin();
  const auto end = second.places().end();
  for (const Place& a : first.places()) {
    for (; b != end && b->sample < a.sample; ++b) alone[1].push_back(*b);
    if (b == end || b->sample != a.sample) {
      alone[0].push_back(a);
      continue;
    }
    if (!a.failed && !b->failed) pairs.push_back({{a.shard, b->shard}, {a.row, b->row}});
    ++b;
  }
  alone[1].insert(alone[1].end(), b, end);
  first.name(std::move(alone[0]), out.only_in[0]);
  second.name(std::move(alone[1]), out.only_in[1]);
  const auto place = [](const Pair& pair) { return std::tuple(group_of(pair), pair.shard[1], pair.shard[0], pair.row[0]); };
  std::sort(pairs.begin(), pairs.end(), [&](const Pair& one, const Pair& other) { return place(one) < place(other); });
  return pairs;
}

void check_same_work(const SampleRecord& a, const SampleRecord& b, const RunFolder& first, const RunFolder& second) {
  const auto check = [&](const char* what, const auto& in_a, const auto& in_b) {
    require(in_a == in_b, "sample ", a.id, ' ', a.sample, ": its ", what, " is ", in_a, " in ", first.folder().string(), " and ", in_b,
            " in ", second.folder().string(), ": compare two runs of one manifest, of the same sizes and seed");
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

std::vector<std::array<std::string, 3>> different_settings(const Json& first, const Json& second) {
  std::vector<std::array<std::string, 3>> out;
  const auto settings_a = flat(first), settings_b = flat(second);
  for (const auto& [name, value] : settings_a)
    if (const auto other = settings_b.find(name); name != "output" && (other == settings_b.end() || other->second != value))
      out.push_back({name, value, other == settings_b.end() ? "" : other->second});
  for (const auto& [name, value] : settings_b)
    if (!settings_a.contains(name)) out.push_back({name, "", value});
  return out;
}

/// The pixels of a sample in both runs, of one size. False where they were read from MP4 files.
bool take_videos(SampleRecord (&records)[2], const RunFolder (&runs)[2], Video (&videos)[2]) {
  const bool kept = records[0].pixels && records[1].pixels;   // else both from MP4: one behind the codec alone would differ
  for (int run = 0; run < 2; ++run) videos[run] = kept ? std::move(*records[run].pixels) : read_mp4(runs[run].folder() / records[run].video);
  const auto size = [](const Video& video) { return concat(video.frames, " x ", video.height, " x ", video.width); };
  require(size(videos[0]) == size(videos[1]), (runs[0].folder() / records[0].video).string(), ": holds a video of ", size(videos[0]), ", ",
          (runs[1].folder() / records[1].video).string(), " one of ", size(videos[1]), ": expected the same size");
  return kept;
}

bool less_alike(const SampleComparison& a, const SampleComparison& b) {
  return std::tie(a.mean_psnr, a.id, a.sample) < std::tie(b.mean_psnr, b.id, b.sample);
}

/// Adds a sample to what is kept of all. `worst`: how many are kept themselves, as a heap whose top is the most alike of them.
void count(SampleComparison sample, size_t worst, DatasetComparison& out) {
  ++out.compared;
  out.psnr.add(sample.mean_psnr);
  if (sample.mean_ssim) out.ssim.add(*sample.mean_ssim);
  if (sample.mean_lpips) out.lpips.add(*sample.mean_lpips);
  if (sample.latents_drift) out.latents_drift.add(*sample.latents_drift);
  out.frames.resize(std::max(out.frames.size(), sample.psnr.size()));
  for (size_t frame = 0; frame < sample.psnr.size(); ++frame) out.frames[frame].add(sample.psnr[frame]);
  if (!sample.steps.empty()) {
    std::vector<StepSpread>& steps = out.steps[sample.steps.size()];
    steps.resize(sample.steps.size());
    for (size_t step = 0; step < steps.size(); ++step) {
      for (int run = 0; run < 2; ++run) steps[step].seconds[run].add(sample.steps[step].seconds[run]);
      if (sample.steps[step].drift) steps[step].drift.add(*sample.steps[step].drift);
    }
  }
  sample.psnr = {}, sample.steps = {};
  out.worst.push_back(std::move(sample));
  std::push_heap(out.worst.begin(), out.worst.end(), less_alike);
  if (out.worst.size() <= worst) return;
  std::pop_heap(out.worst.begin(), out.worst.end(), less_alike);
  out.worst.pop_back();
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

/// How alike the samples are, and what they cost.
std::string figures(const DatasetComparison& c) {
  std::string out = line("\n%-26s %9s %9s %9s\n", "alike", "mean", "worst", "best");
  const auto row = [&](const char* name, const Spread& s, bool small_is_good) {
    if (s.count) out += line("%-26s %9.4f %9.4f %9.4f\n", name, s.mean(), small_is_good ? s.most : s.least, small_is_good ? s.least : s.most);
  };
  row("PSNR (dB)", c.psnr, false);
  row("SSIM", c.ssim, false);
  row("LPIPS", c.lpips, true);
  row("drift of the last latents", c.latents_drift, true);
  if (c.lpips_backbone.empty()) out += "LPIPS was not computed: give --lpips-backbone and --lpips-heads\n";
  out += line("\n%-26s %12s %12s %9s\n", "cost", "first", "second", "ratio");
  const auto cost = [&](const char* name, double RunTotals::*total) {
    const double a = c.runs[0].*total, b = c.runs[1].*total;
    out += line("%-26s %12.3f %12.3f %9.3f\n", name, a / double(c.compared), b / double(c.compared), ratio(a, b).value_or(NAN));
  };
  cost("denoising, s a sample", &RunTotals::denoising_seconds);
  cost("all, s a sample", &RunTotals::seconds);
  const auto counts = [&](const char* name, double a, double b) { out += line("%-26s %12.1f %12.1f\n", name, a, b); };
  const auto reused = [](const RunTotals& run) { return run.attentions ? 100 * double(run.attentions_reused) / double(run.attentions) : 0; };
  counts("attentions reused, %", reused(c.runs[0]), reused(c.runs[1]));
  if (c.runs[0].bytes_sent || c.runs[1].bytes_sent)
    counts("all-to-all, MiB a rank", double(c.runs[0].bytes_sent) / (1 << 20), double(c.runs[1].bytes_sent) / (1 << 20));
  return out;
}

/// All but the samples.
Json summary(const DatasetComparison& c) {
  Json out;
  for (const RunTotals& run : c.runs)
    out["runs"].push_back({{"folder", run.folder}, {"configuration", run.configuration}, {"denoising_seconds", run.denoising_seconds},
                           {"seconds", run.seconds}, {"attentions", run.attentions}, {"attentions_reused", run.attentions_reused},
                           {"all_to_all_bytes", run.bytes_sent}, {"all_to_all_bytes_avoided", run.bytes_avoided}});
  out["settings_that_differ"] = Json::array();
  for (const auto& [name, here, there] : c.settings) out["settings_that_differ"].push_back({{"name", name}, {"first", here}, {"second", there}});
  const auto listed = [](const FirstOfMany& all) { return Json{{"count", all.count}, {"first", all.first}}; };
  out["only_in"] = {listed(c.only_in[0]), listed(c.only_in[1])};
  out["failed"] = {listed(c.failed[0]), listed(c.failed[1])};
  out["not_comparable"] = listed(c.not_comparable);
  out["pixels"] = c.pixels_kept ? "frames before encoding" : "decoded MP4 files";
  out["lpips_backbone"] = c.lpips_backbone.empty() ? Json() : Json(c.lpips_backbone);
  const auto mean_of = [](const Spread& spread) { return or_null(spread.mean()); };
  out["mean"] = {{"psnr", mean_of(c.psnr)}, {"ssim", mean_of(c.ssim)}, {"lpips", mean_of(c.lpips)}, {"latents_drift", mean_of(c.latents_drift)}};
  out["speed_up"] = {{"denoising", or_null(ratio(c.runs[0].denoising_seconds, c.runs[1].denoising_seconds))},
                     {"all", or_null(ratio(c.runs[0].seconds, c.runs[1].seconds))}};
  return out;
}

}  // namespace

void Spread::add(double value) {
  sum += value;
  least = std::min(least, value);
  most = std::max(most, value);
  ++count;
}

void FirstOfMany::add(std::string text) {
  if (count++ < most) first.push_back(std::move(text));
}

DatasetComparison compare_datasets(const fs::path& a, const fs::path& b, Backend& backend, const ComparisonOptions& options) {
  DatasetComparison out;
  RunFolder runs[] = {RunFolder(a, out.failed[0], out.not_comparable, options.tell), RunFolder(b, out.failed[1], out.not_comparable, options.tell)};
  if (options.lpips) out.lpips_backbone = options.lpips->backbone();
  for (int run = 0; run < 2; ++run) out.runs[run].folder = runs[run].folder().string(), out.runs[run].configuration = runs[run].configuration();
  out.settings = different_settings(runs[0].configuration(), runs[1].configuration());
  const std::vector<Pair> pairs = pairs_of(runs[0], runs[1], out);
  for (RunFolder& run : runs) run.forget_places();
  require(!pairs.empty() || out.not_comparable.count, "no sample was made both in ", a.string(), " and in ", b.string(),
          ": compare two runs of one manifest");
  const auto is_readable = [&](const std::string& sample, const std::function<void()>& read) {
    try {
      read();
      return true;
    } catch (const Error& error) {
      if (error.code == ExitCode::environment) throw;
      out.not_comparable.add(sample + error.what());
      return false;
    }
  };
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Pair &pair = pairs[i], &before = pairs[i ? i - 1 : 0];
    if (group_of(pair) != group_of(before)) runs[0].close_shards();
    if (pair.shard[1] != before.shard[1]) runs[1].close_shards();
    SampleRecord records[2];
    const bool has_rows = is_readable("", [&] {
      for (int run = 0; run < 2; ++run) records[run] = runs[run].whole(pair.shard[run], pair.row[run]);
    });
    if (has_rows) check_same_work(records[0], records[1], runs[0], runs[1]);
    const std::string name = concat("sample ", records[0].sample, " of \"", records[0].id, "\": ");
    Video videos[2];
    if (has_rows && is_readable(name, [&] { out.pixels_kept &= take_videos(records, runs, videos); })) {
      SampleComparison sample = compare_sample(records[0], records[1], videos[0], videos[1], options.lpips, backend);
      for (int run = 0; run < 2; ++run) {
        sample.video[run] = (runs[run].folder() / records[run].video).string();
        add_costs(out.runs[run], records[run]);
      }
      if (options.each) options.each(sample);
      count(std::move(sample), options.worst, out);
    }
    if (options.tell) options.tell("samples compared", i + 1, pairs.size());
  }
  std::sort_heap(out.worst.begin(), out.worst.end(), less_alike);
  return out;
}

std::string comparison_table(const DatasetComparison& c) {
  std::string out = line("%s of %s and %s\n\n", counted(c.compared, "sample").c_str(), c.runs[0].folder.c_str(), c.runs[1].folder.c_str());
  for (const auto& [name, here, there] : c.settings) out += line("  %-20s %s -> %s\n", name.c_str(), here.c_str(), there.c_str());
  if (c.compared) out += figures(c);
  for (int run = 0; run < 2; ++run) {
    if (c.only_in[run].count) out += concat(counted(c.only_in[run].count, "sample is", "samples are"), " only in ", c.runs[run].folder, '\n');
    if (c.failed[run].count) out += concat(counted(c.failed[run].count, "sample"), " failed in ", c.runs[run].folder, '\n');
  }
  if (!c.pixels_kept) out += "pixels were read from MP4 files: the codec's loss counts (--save frames keeps them)\n";
  constexpr size_t most = 50;
  if (c.not_comparable.count)
    out += concat("NOT COMPARED, since one cannot be read or the two are of different sizes: ", c.not_comparable.count, '\n');
  for (size_t i = 0; i < std::min(most, c.not_comparable.first.size()); ++i) out += "  " + c.not_comparable.first[i] + "\n";
  if (c.not_comparable.count > most)
    out += concat("  and ", c.not_comparable.count - most, " more (compare.json lists the first ", FirstOfMany::most, ")\n");
  return out;
}

void ComparisonFile::write(const std::string& text) {
  if (!file_) {
    make_folder(path_.parent_path());
    file_.emplace(path_);
    write("{\n \"samples\": [");
  }
  file_->write(std::as_bytes(std::span(text)));
}

void ComparisonFile::add(const SampleComparison& s) {
  Json sample{{"id", s.id}, {"sample", s.sample}, {"prompt", s.prompt}, {"psnr", s.mean_psnr}, {"psnr_of_frames", s.psnr},
              {"ssim", or_null(s.mean_ssim)}, {"lpips", or_null(s.mean_lpips)}, {"latents_drift", or_null(s.latents_drift)},
              {"denoising_seconds", s.denoising_seconds}, {"seconds", s.seconds}};
  sample["steps"] = Json::array();
  for (const StepComparison& step : s.steps) sample["steps"].push_back({{"seconds", step.seconds}, {"drift", or_null(step.drift)}});
  write((file_ ? ",\n  " : "\n  ") + sample.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void ComparisonFile::finish(const DatasetComparison& c) {
  write("\n ],\n" + summary(c).dump(1, ' ', false, Json::error_handler_t::replace).substr(2) + "\n");   // behind its own "{\n"
  file_->publish();
}

}  // namespace pyracast
