#pragma once
#include "dataset/manifest.hpp"
#include "pipeline/video_model.hpp"
#include "settings/job_settings.hpp"

namespace pyracast {

/// Makes requests of manifest rows: what a row does not say comes from the run's settings, then from the snapshot.
class VideoRequests {
 public:
  /// `model` must outlive this. Throws Error on settings that contradict one another or name sizes that do not exist.
  VideoRequests(const GenerateSettings& settings, const VideoModel& model);

  /// Throws Error on a row whose sizes do not exist or that asks for what the model has not.
  VideoRequest operator()(const Prompt& row) const;

  /// What a row without any size or step of its own asks for.
  VideoRequest typical() const;

  /// Why a row cannot be made; nothing where it can.
  std::optional<std::string> refusal(const Prompt& row) const;
  /// What frames of such a video are taken from. Throws Error on references that cannot be.
  References references(const VideoRequest& request) const { return model_.references(request); }
  /// The work of one sample of a row, in pixels x steps.
  double cost(const Prompt& row) const { return cost((*this)(row)); }
  static double cost(const VideoRequest& request);
  /// What is reused over several steps, of every video.
  const BroadcastPolicy& broadcast() const { return broadcast_; }

 private:
  GenerateSettings settings_;
  const VideoModel& model_;
  BroadcastPolicy broadcast_;
};

/// How a run reads its manifest: which rows its model can make, what they cost, and which part of them is the run's. `requests` must
/// outlive what is returned. Throws Error on a `part` that is none.
ManifestOptions manifest_options(const GenerateSettings& settings, const VideoRequests& requests);

}  // namespace pyracast
