#include "report/status_table.hpp"

#include <algorithm>
#include <cstdio>

#include "base/counted.hpp"

namespace pyracast {

namespace {

template <class... Numbers>
std::string print(const char* format, Numbers... numbers) {
  char text[512];
  std::snprintf(text, sizeof text, format, numbers...);
  return text;
}

std::string duration(double seconds) {
  const auto whole = (long long)(std::max(0.0, seconds) + 0.5);
  if (whole >= 86400) return print("%lld d %lld h", whole / 86400, whole / 3600 % 24);
  if (whole >= 3600) return print("%lld:%02lld:%02lld h", whole / 3600, whole / 60 % 60, whole % 60);
  return whole >= 60 ? print("%lld:%02lld min", whole / 60, whole % 60) : print("%lld s", whole);
}

/// The teams of one host, added up.
struct Node {
  uint64_t teams = 0, samples = 0, failed = 0;
  double busy_seconds = 0, cost = 0, last_ended = 0;
};

std::map<std::string, Node> nodes_of(const DatasetStatus& status) {
  std::map<std::string, Node> nodes;
  for (const auto& [number, team] : status.teams) {
    Node& node = nodes[team.host];
    ++node.teams;
    node.samples += team.samples, node.failed += team.failed;
    node.busy_seconds += team.busy_seconds, node.cost += team.cost;
    node.last_ended = std::max(node.last_ended, team.last_ended);
  }
  return nodes;
}

double samples_an_hour(const DatasetStatus& status, uint64_t samples) {
  const double seconds = status.last_ended - status.started;
  return seconds > 0 ? double(samples) * 3600 / seconds : 0;
}

std::string audit_line(const AuditTally& audit) {
  std::string out =
      print("audit: %llu also made without reuse (%.2g %% of the time)", (unsigned long long)audit.audited(), 100 * audit.share_of_time());
  if (audit.compared()) {
    const AuditedSample worst = audit.worst_first().front();
    out +=
        print(": PSNR %.2f dB in the median, %.2f dB at worst (", audit.median_psnr(), worst.psnr) + concat(worst.id, " sample ", worst.sample, ')');
  }
  if (audit.beyond())
    out +=
        concat("; BEYOND THE BOUND: ", audit.beyond(), audit.replaced() ? concat(", ", audit.replaced(), " of them kept as made without reuse") : "");
  if (audit.not_finite()) out += concat("; ", audit.not_finite(), " were not finite without reuse");
  return out + "\n";
}

Json audit_json(const AuditTally& audit) {
  Json json{{"samples", audit.audited()}, {"beyond_the_bound", audit.beyond()}, {"kept_without_reuse", audit.replaced()},
            {"not_finite", audit.not_finite()}, {"seconds", audit.seconds()}, {"share_of_time", audit.share_of_time()}};
  if (audit.compared() == 0) return json;
  const AuditedSample worst = audit.worst_first().front();
  json["median_psnr"] = audit.median_psnr();
  json["worst"] = {{"id", worst.id}, {"sample", worst.sample}, {"psnr", worst.psnr}, {"ssim", worst.ssim}, {"relative_mse_of_latents", worst.mse}};
  return json;
}

std::string state_of(const DatasetStatus& status) {
  if (!status.running.empty()) return "running: " + status.running;
  if (!status.last_words.empty()) return "no job is running; the last one ended: " + status.last_words;
  if (status.left == 0) return "no job is running, and no sample is left to be made";   // joined, or copied without its logs
  return "no job is running, and the last one has not said how it ended (killed?): the same command continues";
}

}  // namespace

std::string status_table(const DatasetStatus& s, double now) {
  std::string out = concat(s.output, ": ", state_of(s), '\n');
  const double share = s.asked_for ? 100 * double(s.done + s.failed) / double(s.asked_for) : 100;
  out += concat(counted(s.asked_for, "sample"), ": ", s.done, " done, ", s.failed, " failed, ", s.left, " left", print(" (%.1f %%)", share),
                s.not_asked_for ? concat("; ", counted(s.not_asked_for, "more is", "more are"), " there that the manifest does not ask for") : "",
                    '\n');
  if (s.rejected) out += concat(counted(s.rejected, "line of the manifest is no prompt", "lines of the manifest are no prompts"),
      " (rejected.jsonl)\n");
  for (const auto& [reason, count] : s.failures) out += concat("  failed ", count, ": ", reason, '\n');
  if (s.audit.audited()) out += audit_line(s.audit);
  if (s.last_ended > 0) {
    out += print("run %lld: %.3g samples/s, last sample %s ago", (long long)s.attempt, s.samples_a_second,
                 duration(now - s.last_ended).c_str());
    if (s.left && s.seconds_left) out += concat(s.running.empty() ? ", would need " : ", ready in ", duration(*s.seconds_left));
    out += print("\n\n  %-24s %6s %8s %7s %10s %10s  %s\n", "node", "teams", "samples", "failed", "samples/h", "s/sample",
                 "last sample");
    for (const auto& [host, node] : nodes_of(s))
      out += print("  %-24s %6llu %8llu %7llu %10.1f %10.3g  %s ago\n", host.c_str(), (unsigned long long)node.teams,
                   (unsigned long long)node.samples, (unsigned long long)node.failed, samples_an_hour(s, node.samples),
                   node.busy_seconds / double(node.samples), duration(now - node.last_ended).c_str());
  }
  for (const auto& [number, team] : s.teams)
    if (!team.straggles.empty()) out += concat("  straggler: team ", number, " on ", team.host, " ", team.straggles, '\n');
  for (const std::string& line : s.missing) out += "  MISSING: " + line + "\n";
  for (const std::string& line : s.warnings) out += "  " + line + "\n";
  return out;
}

Json status_json(const DatasetStatus& s, double now) {
  Json json{{"output", s.output},
            {"time", now},
            {"running", s.running},
            {"last_words", s.last_words},
            {"samples", {{"asked_for", s.asked_for}, {"done", s.done}, {"failed", s.failed}, {"left", s.left}, {"not_asked_for", s.not_asked_for}}},
            {"rejected", s.rejected},
            {"shards", s.shards},
            {"failures", s.failures},
            {"audit", audit_json(s.audit)},
            {"attempt", s.attempt},
            {"started", s.started},
            {"last_ended", s.last_ended},
            {"samples_a_second", s.samples_a_second},
            {"seconds_left", s.seconds_left ? Json(*s.seconds_left) : Json()},
            {"nodes", Json::array()},
            {"teams", Json::array()},
            {"missing", s.missing},
            {"warnings", s.warnings}};
  for (const auto& [host, node] : nodes_of(s))
    json["nodes"].push_back({{"host", host}, {"teams", node.teams}, {"samples", node.samples}, {"failed", node.failed},
                             {"samples_an_hour", samples_an_hour(s, node.samples)}, {"busy_seconds", node.busy_seconds},
                             {"cost", node.cost}, {"last_ended", node.last_ended}});
  for (const auto& [number, team] : s.teams)
    json["teams"].push_back({{"team", number}, {"host", team.host}, {"samples", team.samples}, {"failed", team.failed},
                             {"busy_seconds", team.busy_seconds}, {"longest_seconds", team.longest_seconds}, {"cost", team.cost},
                             {"last_ended", team.last_ended}, {"speed", team.speed}, {"straggles", team.straggles}});
  return json;
}

}  // namespace pyracast
