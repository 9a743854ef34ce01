#pragma once
// Two datasets of one manifest, made with different settings: how alike the videos are, and what each cost.
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>

#include "base/file_writer.hpp"
#include "base/tell_step.hpp"
#include "dataset/sample.hpp"
#include "metrics/lpips.hpp"

namespace pyracast {

/// One evaluation of the network in both runs.
struct StepComparison {
  double seconds[2] = {0, 0};
  std::optional<double> drift;   ///< RMS of the latents' difference over the RMS of the first run's, where both keep them
};

/// One sample of both runs. Index 0 is the first run, 1 the second.
struct SampleComparison {
  std::string id, prompt, video[2];   ///< videos: paths
  int64_t sample = 0, frames = 0, height = 0, width = 0;
  std::vector<double> psnr;           ///< [frames]
  double mean_psnr = 0;
  std::optional<double> mean_ssim;    ///< absent: frames are smaller than SSIM's window
  std::optional<double> mean_lpips;   ///< absent: no weights were given, or frames are too small
  std::optional<double> latents_drift;
  double denoising_seconds[2] = {0, 0}, seconds[2] = {0, 0};
  std::vector<StepComparison> steps;  ///< empty where the runs have different numbers of evaluations
};

/// What one run did as a whole, over the samples that were compared.
struct RunTotals {
  std::string folder;
  Json configuration;
  double denoising_seconds = 0, seconds = 0;
  int64_t attentions = 0, attentions_reused = 0;   ///< branches of blocks: self and cross attentions
  int64_t bytes_sent = 0, bytes_avoided = 0;       ///< of all-to-alls, by the teams' first ranks
};

/// Numbers met one by one: their mean and their ends.
struct Spread {
  double sum = 0, least = INFINITY, most = -INFINITY;
  size_t count = 0;

  void add(double value);
  /// Not a number where there is none.
  double mean() const { return count ? sum / double(count) : NAN; }
};

/// One evaluation of the network, over samples.
struct StepSpread {
  Spread seconds[2], drift;
};

/// Texts of which the first are kept and all are counted: a broken disk may make millions.
struct FirstOfMany {
  static constexpr size_t most = 1000;
  std::vector<std::string> first;
  uint64_t count = 0;

  void add(std::string text);
};

/// All of it. What is kept does not grow with the samples: those that are least alike, and sums.
struct DatasetComparison {
  RunTotals runs[2];
  uint64_t compared = 0;                                  ///< samples
  Spread psnr, ssim, lpips, latents_drift;                ///< over samples
  std::vector<SampleComparison> worst;                    ///< the least alike ones, by PSNR, the worst first; without `psnr` and `steps`
  std::vector<Spread> frames;                             ///< PSNR by frame
  std::map<size_t, std::vector<StepSpread>> steps;        ///< by the samples' number of evaluations
  FirstOfMany only_in[2], failed[2];                      ///< "id sample"
  FirstOfMany not_comparable;                             ///< "file: reason": shards and samples that cannot be read, videos of two sizes
  std::vector<std::array<std::string, 3>> settings;       ///< name, value here, value there: those that differ
  bool pixels_kept = true;                                ///< else some were read from MP4 files, behind the codec's loss
  std::string lpips_backbone = "";                        ///< empty: LPIPS was not computed
};

struct ComparisonOptions {
  const Lpips* lpips = nullptr;
  size_t worst = 500;                                     ///< how many of the least alike are kept
  std::function<void(const SampleComparison&)> each;      ///< called with every sample that was compared, shard by shard
  TellStep tell;
};

/// Compares the folders of two runs. Samples are matched by id and number. A sample or shard that cannot be read, or videos of two
/// sizes, are one of `not_comparable`, and the others are compared. Memory: 64 bytes a sample, and the rows of some shards. Throws Error naming both
/// where they are not of one manifest: a prompt, seed or size differs, or no sample is in both.
DatasetComparison compare_datasets(const std::filesystem::path& a, const std::filesystem::path& b, Backend& backend,
                                   const ComparisonOptions& options = {});

/// For the terminal.
std::string comparison_table(const DatasetComparison& comparison);

/// A comparison as a file, {"samples": [...], ...}, whose samples are written as they come. Nothing of it stays without finish().
class ComparisonFile {
 public:
  explicit ComparisonFile(std::filesystem::path path) : path_(std::move(path)) {}
  void add(const SampleComparison& sample);
  void finish(const DatasetComparison& comparison);

 private:
  std::filesystem::path path_;
  std::optional<FileWriter> file_;   // made, with its folder, when there is something to write
  void write(const std::string& text);
};

}  // namespace pyracast
