// `pyracast join`: the parts that array jobs have made, as one dataset.
#include <algorithm>
#include <cstdio>

#include "base/config.hpp"
#include "base/counted.hpp"
#include "dataset/folder_lock.hpp"
#include "dataset/join.hpp"
#include "dataset/layout.hpp"
#include "jobs/jobs.hpp"
#include "runtime/step_lines.hpp"

namespace pyracast {

namespace {

struct JoinSettings {
  std::filesystem::path config, output;
  bool json = false;

  template <class Visit>
  static void fields(Visit&& visit, JoinSettings& s) {
    visit("Join", "config", s.config, "file of `key = value` settings");
    visit("Join", "output", s.output, "folder of the joined dataset: a new one, or one that this command began");
    visit("Join", "json", s.json, "the counts as JSON");
  }
};

void print(const std::filesystem::path& output, const Joined& joined, int64_t left) {
  std::printf("%s: %s done, %lld failed, %lld left, in %s\n", output.c_str(), counted(joined.counts.done, "sample").c_str(),
              (long long)joined.counts.failed, (long long)left, counted(joined.counts.shards, "shard").c_str());
  if (!joined.missing_parts.empty())
    std::printf("not joined: part %s of the manifest, of which no prompt is there; make it (generate --part) and join again\n",
                setting_text(joined.missing_parts).c_str());
}

}  // namespace

int join(int argc, char** argv) {
  const std::string usage = "usage: pyracast join --output DIR PART... [--json]\n";
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("%s\nMakes one dataset of parts that were made with the same settings (--part K/N, array jobs). Videos and shards get second names "
                "in DIR\n(hard links; copies on another file system), index and manifest are made anew, the parts stay. The same command goes on "
                "after a kill.\nEnds with 0: all samples are there; 3: some failed; 75: some are still to be made, or parts are missing; 64: parts "
                "that do not belong\ntogether; 65: other settings.\n\n%s", usage.c_str(), describe(settings_of<JoinSettings>()).c_str());
    return 0;
  }
  std::vector<std::string> words;
  const auto settings = read_config<JoinSettings>(argc, argv, &words);
  require(!settings.output.empty(), "where to join is not known: give --output DIR\n", usage);
  require(!words.empty(), "which parts to join is not known: name their folders\n", usage);
  check_free_for_dataset(settings.output);
  make_folder(OutputLayout{settings.output}.work());
  const FolderLock lock(settings.output);
  const Joined joined = join_datasets(settings.output, {words.begin(), words.end()}, [](const std::string& message) {
    std::fprintf(stderr, "pyracast: %s\n", message.c_str());
  }, StepLines());
  const DatasetCounts& counts = joined.counts;
  const int64_t left = std::max<int64_t>(0, int64_t(joined.asked_for) - counts.done - counts.failed);
  const Json json{{"done", counts.done}, {"failed", counts.failed}, {"left", left}, {"shards", counts.shards},
                  {"missing_parts", joined.missing_parts}};
  if (settings.json) std::printf("%s\n", json.dump(1).c_str());
  else print(settings.output, joined, left);
  const bool whole = left == 0 && joined.missing_parts.empty();
  return int(!whole ? ExitCode::more_to_do : counts.failed ? ExitCode::complete_with_failures : ExitCode::complete);
}

}  // namespace pyracast
