// `pyracast join`: the parts that array jobs have made, as one dataset.
#include <algorithm>
#include <cstdio>

#include "base/error.hpp"
#include "dataset/folder_lock.hpp"
#include "dataset/join.hpp"
#include "dataset/layout.hpp"
#include "jobs/jobs.hpp"

namespace pyracast {

int join(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "--help") {
    std::printf("usage: pyracast join --output DIR PART...\n\nMakes one dataset of parts that were made with the same settings (--part K/N, array "
                "jobs). Videos and shards get second names in DIR\n(hard links; copies on another file system), index and manifest are made anew, "
                "the parts stay. The same command goes on after a kill.\nEnds with 0: all samples are there; 3: some failed; 75: some are still to "
                "be made; 64: parts that do not belong together; 65: other settings.\n");
    return words.empty() ? int(ExitCode::bad_input) : 0;
  }
  require(words.size() >= 3 && words[0] == "--output", "usage: pyracast join --output DIR PART...");
  const std::filesystem::path output = words[1];
  const std::vector<std::filesystem::path> parts(words.begin() + 2, words.end());
  make_folder(OutputLayout{output}.work());
  const FolderLock lock(output);
  const Joined joined = join_datasets(output, parts);
  const int64_t left = int64_t(joined.asked_for) - joined.counts.done - joined.counts.failed;
  std::printf("%s: %lld samples done, %lld failed, %lld left, in %lld shards\n", output.c_str(),
              (long long)joined.counts.done, (long long)joined.counts.failed,
              (long long)std::max<int64_t>(left, 0), (long long)joined.counts.shards);
  return int(left > 0 ? ExitCode::more_to_do : joined.counts.failed ? ExitCode::complete_with_failures : ExitCode::complete);
}

}  // namespace pyracast
