// `pyracast retry`: failed samples become undone, so that the same generate command makes them again.
#include <cstdio>
#include <optional>

#include "base/config.hpp"
#include "base/counted.hpp"
#include "dataset/folder_lock.hpp"
#include "dataset/retry.hpp"
#include "jobs/jobs.hpp"
#include "runtime/step_lines.hpp"

namespace pyracast {

namespace {

struct RetrySettings {
  std::filesystem::path config, output;
  std::vector<std::string> classes;
  bool dry_run = false, json = false;

  template <class Visit>
  static void fields(Visit&& visit, RetrySettings& s) {
    visit("Retry", "config", s.config, "file of `key = value` settings");
    visit("Retry", "output", s.output, "folder of the dataset");
    visit("Retry", "class", s.classes,
          "failures whose reason contains one of these (comma between), e.g. \"not finite\"; default: all");
    visit("Retry", "dry-run", s.dry_run, "only show what would become undone");
    visit("Retry", "json", s.json, "as JSON");
  }
};

uint64_t sum(const std::map<std::string, uint64_t>& counts) {
  uint64_t total = 0;
  for (const auto& [name, count] : counts) total += count;
  return total;
}

void print(const char* one, const char* more, const std::map<std::string, uint64_t>& counts) {
  std::printf("%s\n", counted(sum(counts), one, more).c_str());
  for (const auto& [name, count] : counts) std::printf("  %llu: %s\n", (unsigned long long)count, name.c_str());
}

}  // namespace

int retry(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast retry --output DIR [--class TEXT,...] [--dry-run]\n\nThen run the same generate command.\n\n%s",
                describe(settings_of<RetrySettings>()).c_str());
    return 0;
  }
  const auto settings = read_config<RetrySettings>(argc, argv);
  require(!settings.output.empty(), "which dataset's failures to try again is not known: give --output DIR");
  require(std::filesystem::is_directory(settings.output / "work"), settings.output.string(), ": holds no dataset (no work/)");
  std::optional<FolderLock> lock;   // what is only looked at may be read-only, or in use
  if (!settings.dry_run) lock.emplace(settings.output);
  const Retried result = retry_failed({settings.output, settings.classes, settings.dry_run}, StepLines());
  if (settings.json) {
    const Json json{{"dry_run", settings.dry_run}, {"undone", result.undone}, {"kept", result.kept}, {"notes", result.notes}};
    std::printf("%s\n", json.dump(1).c_str());
    return 0;
  }
  if (result.undone.empty() && result.kept.empty()) std::printf("no sample has failed\n");
  else if (settings.dry_run) print("failed sample would become undone", "failed samples would become undone", result.undone);
  else print("failed sample is undone; the same generate command makes it again",
      "failed samples are undone; the same generate command makes them again",
             result.undone);
  if (!result.kept.empty()) print("failed sample of another class stays failed", "failed samples of other classes stay failed", result.kept);
  for (const std::string& note : result.notes) std::printf("note: %s\n", note.c_str());
  return 0;
}

}  // namespace pyracast
