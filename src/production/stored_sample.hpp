#pragma once
// What a dataset says of a sample, turned back into what makes it.
#include <filesystem>
#include <string>
#include <vector>

#include "dataset/for_each_row.hpp"
#include "dataset/prompt.hpp"
#include "dataset/run_settings.hpp"
#include "settings/job_settings.hpp"
#include "settings/reproduce_settings.hpp"

namespace pyracast {

/// A sample that is to be made again, and where it lies.
struct StoredSample {
  SampleRecord record;              ///< without its arrays
  std::string fingerprint;
  std::filesystem::path file;       ///< a shard or journal
  size_t number = 0;                ///< its row there
  bool in_journal = false;

  /// With its arrays.
  SampleRecord whole() const;
};

/// The sample that the settings name, or so many drawn at random. Throws Error where there is none.
std::vector<StoredSample> chosen_samples(const ReproduceSettings& settings);

/// As bytes (CBOR), for other ranks, and back.
std::string to_bytes(const std::vector<StoredSample>& samples);
std::vector<StoredSample> stored_samples_from_bytes(const std::string& bytes);

/// The settings of the run that made samples of this fingerprint, with what `now` says of places and ranks. The broadcast policy
/// is written to a file in `scratch`. Throws Error where the dataset does not hold them any more.
GenerateSettings settings_of_run(const RunSettings& run, const ReproduceSettings& now, const std::filesystem::path& scratch);

/// The manifest's row that asks for just this sample. `names_seed`: whether the row's own seed, or the run's, is the record's;
/// that is different noise where it is torch's.
Prompt row_of(const SampleRecord& record, const GenerateSettings& settings, bool names_seed);

}  // namespace pyracast
