#pragma once
// Two datasets of one manifest, made with different settings: how alike the videos are, and what each cost.
#include <functional>
#include <optional>

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

/// What one run did as a whole, over the samples that both have.
struct RunTotals {
  std::string folder;
  Json configuration;
  double denoising_seconds = 0, seconds = 0;
  int64_t attentions = 0, attentions_reused = 0;   ///< branches of blocks: self and cross attentions
  int64_t bytes_sent = 0, bytes_avoided = 0;       ///< of all-to-alls, by the teams' first ranks
};


/// All of it.
struct DatasetComparison {
  RunTotals runs[2];
  std::vector<SampleComparison> samples;             ///< by id
  std::vector<std::string> only_in[2], failed[2];    ///< "id sample"
  std::vector<std::array<std::string, 3>> settings;  ///< name, value here, value there: those that differ
  bool pixels_kept = true;                           ///< else some were read from MP4 files, behind the codec's loss
  std::string lpips = "";                            ///< which backbone; empty: not computed

  double mean(const std::function<std::optional<double>(const SampleComparison&)>& of) const;
};

/// Compares the folders of two runs. Samples are matched by id and number. `lpips` may be null. `told` is called with the
/// number of samples done. Throws Error naming both where they are not of one manifest: a prompt, seed or size differs, or
/// no sample is in both.
DatasetComparison compare_datasets(const std::filesystem::path& a, const std::filesystem::path& b, const Lpips* lpips, Backend& backend,
                                   const std::function<void(size_t done, size_t all)>& told = {});

/// For the terminal.
std::string comparison_table(const DatasetComparison& comparison);
Json comparison_json(const DatasetComparison& comparison);

}  // namespace pyracast
