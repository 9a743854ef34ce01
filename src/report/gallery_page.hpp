#pragma once
// The page of `pyracast gallery`: the same videos made in several ways, and what each way costs and changes.
#include "metrics/video_drift.hpp"
#include "report/branch_profile.hpp"
#include "report/dataset_summary.hpp"

namespace pyracast {

/// One way to make the videos, over all of them. The first way of a gallery reuses nothing, and the others are held against it.
struct GalleryWay {
  std::string name, explanation;      ///< plain texts
  StepTotals steps;
  std::vector<double> seconds;        ///< [clips]: of denoising, on the team's first rank
  double median_seconds() const;
  double computed_share() const;      ///< of all branch outputs of all blocks
  int64_t bytes_sent() const;         ///< of all-to-alls, by the team's first rank
};

struct GalleryClip {
  std::string id, prompt;
  std::vector<std::string> mp4;                 ///< [ways]: bytes of the files
  std::vector<std::optional<VideoDrift>> drift; ///< [ways]: absent of the first
};

struct Gallery {
  std::string model, size;            ///< plain texts: "48 x 48 pixels, …"
  int ranks = 1;                      ///< that made each video together
  std::vector<GalleryWay> ways;
  std::vector<GalleryClip> clips;
  BranchProfile profile;              ///< of the first way

  double mean_psnr(size_t way) const;
  std::optional<double> mean_ssim(size_t way) const;
};

/// One file that asks for nothing from outside. Throws Error where gnuplot is missing.
std::string gallery_page(const Gallery& gallery);
Json gallery_json(const Gallery& gallery);
/// For the terminal.
std::string gallery_table(const Gallery& gallery);

}  // namespace pyracast
