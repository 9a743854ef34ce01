#pragma once
// What a run does in a folder whose samples were made with another model, other settings or other rows of the manifest.
#include "production/changed_rows.hpp"
#include "production/fingerprint.hpp"

namespace pyracast {

enum class OnChange { refuse, fork, only_new };

/// Throws Error on a name that is none of refuse, fork and only-new.
OnChange on_change_of(const std::string& name);

/// Where a run goes on that forks: `settings.output` as long as its settings and rows are the run's, else the first folder of
/// OUTPUT-<8 digits of the fingerprint>, OUTPUT-<8 digits>-2, … that is not there or fits. Says so on standard error, and only
/// reads. World rank 0 calls this.
std::filesystem::path folder_to_go_on_in(const GenerateSettings& settings, const Fingerprint& fingerprint, const VideoRequests& requests,
                                         const ManifestOptions& manifest);

/// Writes the run's settings into the folder. Where it was begun with others (as work/fingerprint.json says, else its sealed shards) and
/// the run is not only for what is new, throws Error naming what differs. World rank 0 calls this.
void continue_or_begin(const GenerateSettings& settings, const Fingerprint& fingerprint);

/// The fingerprints that the folder's samples may have, and the configuration of each.
std::map<std::string, std::string> configurations_of(const std::filesystem::path& output);

/// Accepts the folder's new manifest where no finished sample's row has changed, or all such samples are to be kept; else puts
/// the earlier manifest back and throws Error naming them. World rank 0 calls this.
void accept_rows(const GenerateSettings& settings, const std::string& manifest, const ChangedRows& changed);

}  // namespace pyracast
