#pragma once
#include "dataset/layout.hpp"
#include "pipeline/progress_file.hpp"

namespace pyracast {

/// How often a video's progress is saved: "60s", "10" (evaluations), or "never".
struct SaveInterval {
  double seconds = 0;      ///< 0: not by the clock
  int evaluations = 0;     ///< 0: not by their number

  /// Throws Error on what is none of these.
  explicit SaveInterval(const std::string& text);
  bool never() const { return seconds == 0 && evaluations == 0; }
};

/// The files that keep one sample's progress, checkpoints/<2 hex>/<safe name>_<sample>.<evaluations made>.safetensors: the two
/// newest, since the newest may be damaged.
class SampleProgress final : public ProgressKeeper {
 public:
  SampleProgress(const std::filesystem::path& output, ProgressLabel label, SaveInterval interval);

  /// The newest that is whole and this sample's; others are told in the log and left out.
  std::optional<VideoProgress> newest() const;

  bool is_due(int evaluations, double seconds) const override;
  /// A disk that says no is told in the log: then the video goes on without.
  void save(const VideoProgress& progress) noexcept override;

 private:
  std::filesystem::path folder_;
  std::string name_;
  ProgressLabel label_;
  SaveInterval interval_;

  std::vector<std::filesystem::path> files() const;   // newest first
};

/// Removes the files of samples of which `is_wanted` is false, those that cannot be read, and empty folders. Rank 0 calls this when no
/// other works.
void remove_progress(const std::filesystem::path& output, const std::function<bool(const ProgressLabel&)>& is_wanted);
/// Removes one sample's.
void remove_progress_of(const std::filesystem::path& output, const std::string& id, int64_t sample);

}  // namespace pyracast
