#include "report/verification_table.hpp"

#include <sstream>

#include "base/counted.hpp"

namespace pyracast {

std::string verdict(const Verification& verification) {
  switch (verification.code()) {
    case ExitCode::complete: return "whole";
    case ExitCode::complete_with_failures: return "whole, with failures";
    case ExitCode::more_to_do: return "more to do";
    default: return "damaged";
  }
}

std::string verification_table(const Verification& v, size_t most) {
  std::ostringstream out;
  if (!v.running.empty()) out << "in use by " << v.running << ": what it is writing was not judged\n";
  out << counted(v.asked_for, "sample") << " asked for: " << v.done << " done, " << v.failed << " failed, " << v.left << " left\n";
  for (const auto& [reason, count] : v.failures) out << "  failed " << count << ": " << reason << '\n';
  if (v.rejected) out << counted(v.rejected, "line of the manifest is no prompt and was", "lines of the manifest are no prompts and were")
      << " left out (rejected.jsonl)\n";
  out << "read: " << counted(v.shards, "shard") << " (" << counted(v.array_bytes, "byte") << " of values), " << counted(v.journals, "journal") << ", "
      << v.videos_checked << " of " << counted(v.videos, "video") << " hashed and decoded (" << v.video_bytes << " bytes)\n";
  for (const std::string& note : v.notes) out << "note: " << note << '\n';
  for (size_t i = 0; i < std::min(most, v.findings.size()); ++i)
    out << name_of(v.findings[i].defect) << "  " << v.findings[i].path << ": " << v.findings[i].what << '\n';
  if (v.findings.size() > most) out << "and " << counted(v.findings.size() - most, "finding") << " more (--json lists them)\n";
  if (v.further_findings) out << "and " << counted(v.further_findings, "that was", "that were") << " only counted\n";
  out << verdict(v) << '\n';
  return out.str();
}

Json verification_json(const Verification& v) {
  Json json{{"verdict", verdict(v)}, {"exit_code", int(v.code())}, {"output", v.output}, {"running", v.running},
            {"samples", {{"asked_for", v.asked_for}, {"done", v.done}, {"failed", v.failed}, {"left", v.left},
                         {"not_asked_for", v.not_asked_for}, {"in_journals", v.in_journals}}},
            {"rejected", v.rejected}, {"failures", v.failures}, {"shards", v.shards}, {"journals", v.journals}, {"videos", v.videos},
            {"videos_checked", v.videos_checked}, {"array_bytes", v.array_bytes}, {"video_bytes", v.video_bytes},
            {"notes", v.notes}, {"further_findings", v.further_findings}, {"findings", Json::array()}};
  for (const Finding& finding : v.findings)
    json["findings"].push_back({{"kind", name_of(finding.defect)}, {"path", finding.path}, {"what", finding.what}});
  return json;
}

}  // namespace pyracast
