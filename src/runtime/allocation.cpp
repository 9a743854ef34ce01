#include "runtime/allocation.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "base/file.hpp"
#include "base/log.hpp"
#include "dataset/attempts.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// One line a run.
fs::path attempts_file(const fs::path& output) { return output / "work" / "attempts.jsonl"; }

std::optional<double> seconds_to_make_samples(const WalltimeSettings& settings) {
  std::optional<double> seconds;
  if (settings.max_walltime > 0) seconds = settings.max_walltime;
  if (const char* const end = std::getenv("SLURM_JOB_END_TIME"))
    if (const double at = std::strtod(end, nullptr); at > 0) {
      const double left = at - double(std::time(nullptr)) - settings.walltime_reserve;
      seconds = std::min(seconds.value_or(left), left);
    }
  return seconds;
}

/// What Slurm calls the job and how often it has begun; empty outside of Slurm.
Json slurm_of_job() {
  Json slurm = Json::object();
  for (const char* const name : {"SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_NAME", "SLURM_CLUSTER_NAME",
                                 "SLURM_JOB_NODELIST"})
    if (const char* const text = std::getenv(name)) slurm[name] = text;
  if (slurm.empty()) return slurm;
  const char* const restarts = std::getenv("SLURM_RESTART_COUNT");   // absent in the first run
  slurm["SLURM_RESTART_COUNT"] = restarts ? std::atoi(restarts) : 0;
  return slurm;
}

}  // namespace

TimeLeft time_left(const Ranks& ranks, const WalltimeSettings& settings) {
  const auto own = seconds_to_make_samples(settings);
  double said[2] = {own.has_value() ? 1.0 : 0.0, own.value_or(0)};
  check_mpi(MPI_Bcast(said, 2, MPI_DOUBLE, 0, ranks.world()), "sharing the time that is left");
  return TimeLeft(said[0] > 0 ? std::optional(said[1]) : std::nullopt);
}

int64_t begin_attempt(const fs::path& output, const Ranks& ranks, const std::string& fingerprint) {
  const fs::path file = attempts_file(output);
  std::string before = fs::exists(file) ? read_file(file) : "";
  if (!before.empty() && before.back() != '\n') before += '\n';   // it was cut: this run's line must not become a part of that
  const int64_t attempt = std::count(before.begin(), before.end(), '\n');
  Json line{{"attempt", attempt}, {"started", std::time(nullptr)}, {"ranks", ranks.size()}, {"nodes", ranks.node_count()},
            {"fingerprint", fingerprint}};
  if (Json slurm = slurm_of_job(); !slurm.empty()) line["slurm"] = std::move(slurm);
  write_atomically(file, before + line.dump() + "\n");
  return attempt;
}

Json attempts_of(const fs::path& output) {
  Json all = Json::array();
  for_each_attempt(output, [&](int64_t, Json attempt) { all.push_back(std::move(attempt)); },
                   [](const std::string& message) { spdlog::warn(message); });
  return all;
}

}  // namespace pyracast
