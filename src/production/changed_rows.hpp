#pragma once
#include <optional>

#include "dataset/kept_rows.hpp"
#include "dataset/manifest.hpp"
#include "dataset/sample.hpp"
#include "production/video_requests.hpp"

namespace pyracast {

/// Holds finished samples against the rows of the manifest. Of samples that were made with the run's own settings everything
/// must be as the row asks now; of others (--on-change only-new) the prompt, and the seed where the row names one. Samples
/// that the manifest does not ask for are left alone. With --check-files the references of samples are read, where they are
/// there. Memory goes with the samples whose rows have changed.
class ChangedRows {
 public:
  ChangedRows(const Manifest& manifest, const GenerateSettings& settings, const VideoRequests& requests, std::string fingerprint);

  void look_at(const SampleRecord& made, const std::string& fingerprint);
  const std::vector<ChangedRow>& all() const { return all_; }

 private:
  const Manifest& manifest_;
  const GenerateSettings& settings_;
  const VideoRequests& requests_;
  std::string fingerprint_;
  std::vector<ChangedRow> all_;

  std::string change_of(const SampleRecord& made, const Prompt& row, bool same_settings) const;
  std::string change_of_references(const VideoRequest& request, const Json& were) const;
};

/// The first few of them, a line each, and how many more there are.
std::string described(const std::vector<ChangedRow>& rows);

}  // namespace pyracast
