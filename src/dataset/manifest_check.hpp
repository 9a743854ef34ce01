#pragma once
#include "dataset/manifest.hpp"

namespace pyracast {

/// A row that a run would leave out.
struct RejectedRow {
  int64_t line = 0;
  std::string reason, text;
};

/// What a run would make of a manifest.
struct ManifestCheck {
  uint64_t prompts = 0, samples = 0, merged = 0, rejected = 0;
  double cost = 0;                          ///< of all samples, in the unit of the options' cost
  std::vector<RejectedRow> first_rejected;  ///< at most as many as asked for
  std::string refusal;                      ///< why nothing at all would be made; empty: something would
};

/// Reads a manifest's beginning. Throws Error where that cannot be read at all: it is not there, its compression, encoding or a table's header is
/// wrong, or there is no row. What is wrong with single rows is not looked at.
void check_beginning(const std::string& path);

/// Reads a manifest (a path, or "-") as a run does, and leaves nothing behind. Throws Error where it cannot be read.
ManifestCheck check_manifest(const std::string& source, const ManifestOptions& options, size_t most_rejected);

}  // namespace pyracast
