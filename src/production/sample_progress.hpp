#pragma once
#include "dataset/layout.hpp"
#include "pipeline/progress_file.hpp"
#include "pipeline/saving_time.hpp"

namespace pyracast {

/// How often a video's progress is saved: "60s", "10" (evaluations), or "never".
struct SaveInterval {
  double seconds = 0;      ///< 0: not by the clock
  int evaluations = 0;     ///< 0: not by their number

  /// Throws Error on what is none of these.
  explicit SaveInterval(const std::string& text);
  bool never() const { return seconds == 0 && evaluations == 0; }
};

/// What the saves of one sample tell those of the next.
struct EarlierSaves {
  SavingTime time;
  bool failed = false;   ///< the last one; that the disk says no is told once
};

/// The files that keep one sample's progress, checkpoints/<2 hex>/<safe name>_<sample>.<evaluations made>.safetensors: the two
/// newest, since the newest may be damaged.
class SampleProgress final : public ProgressKeeper {
 public:
  /// `earlier` must outlive this.
  SampleProgress(const std::filesystem::path& output, ProgressLabel label, SaveInterval interval, EarlierSaves& earlier);

  /// The newest that is whole and this sample's; others are told in the log and left out.
  std::optional<VideoProgress> newest() const;

  /// By the clock stored outputs are due only so often that saving them takes a twentieth of the time.
  bool is_due(int evaluations, double seconds, double saving) const override;
  double seconds_to_save(int64_t bytes) const override { return earlier_.time.guess(bytes); }
  void foresee(double seconds) override { foreseen_ = seconds; }
  /// A disk that says no is told in the log: then the video goes on without.
  void save(const VideoProgress& progress, const StoredOutputs& outputs) noexcept override;

  /// Seconds that waiting and saving would take if the team stopped one evaluation later.
  double foreseen() const { return foreseen_; }

 private:
  std::filesystem::path folder_;
  std::string name_;
  ProgressLabel label_;
  SaveInterval interval_;
  EarlierSaves& earlier_;
  double foreseen_ = 0;

  std::vector<std::filesystem::path> files() const;   // newest first
};

/// Removes the files of samples of which `is_wanted` is false, those that cannot be read, and empty folders. Rank 0 calls this when no
/// other works.
void remove_progress(const std::filesystem::path& output, const std::function<bool(const ProgressLabel&)>& is_wanted);
/// Removes one sample's.
void remove_progress_of(const std::filesystem::path& output, const std::string& id, int64_t sample);

}  // namespace pyracast
