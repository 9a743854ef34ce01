#include <algorithm>
#include <set>

#include "base/counted.hpp"
#include "dataset/derive.hpp"
#include "dataset/layout.hpp"
#include "dataset/rewrite_shard.hpp"
#include "dataset/second_rows.hpp"
#include "dataset/shard_file.hpp"
#include "dataset/verify.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

bool has(const Verification& verification, Defect defect) {
  return std::any_of(verification.findings.begin(), verification.findings.end(), [&](const Finding& f) { return f.defect == defect; });
}

bool is_moved(Defect defect) {
  return defect == Defect::shard_damaged || defect == Defect::shard_foreign || defect == Defect::video_changed ||
         defect == Defect::video_undecodable || defect == Defect::stray;
}

/// Takes the later rows of samples that stand in two out of their shards.
void take_out_second_rows(const OutputLayout& layout, std::vector<std::string>& lines) {
  SecondRows is_second;
  for (const fs::path& path : sealed_shards(layout.shards())) {
    const size_t taken = rewrite_shard(path, [&](const SampleRecord& row) { return !is_second(row); });
    if (taken) lines.push_back(concat(path.string(), ": ", counted(taken, "row was taken out that stands", "rows were taken out that stand"),
        " in another row as well"));
  }
}

}  // namespace

std::vector<std::string> put_aside(const Verification& verification) {
  const OutputLayout layout{verification.output};
  std::vector<std::string> lines;
  if (std::any_of(verification.findings.begin(), verification.findings.end(),
                  [](const Finding& f) { return f.path.ends_with(".h5"); }))
    remove_index(layout.root);
  std::set<std::string> moved;
  for (const Finding& finding : verification.findings)
    if (is_moved(finding.defect) && moved.insert(finding.path).second && fs::exists(layout.root / finding.path))
      lines.push_back(concat(finding.path, ": was moved to ", move_to_quarantine(layout, layout.root / finding.path).string()));
  if (has(verification, Defect::sample_twice)) take_out_second_rows(layout, lines);
  if (verification.further_findings)
    lines.push_back(concat(counted(verification.further_findings, "finding more was", "findings more were"), " only counted: verify once more"));
  return lines;
}

}  // namespace pyracast
