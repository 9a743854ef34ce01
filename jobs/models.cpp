// `pyracast models`: the families, what was published of them, and what goes with them.
#include <cstdio>

#include "jobs/jobs.hpp"
#include "pipeline/video_model.hpp"

namespace pyracast {

int models(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast models\n\nLists the families of models that --model takes.\n");
    return 0;
  }
  require(argc == 1, "models takes no settings, found \"", argv[1], "\"");
  for (const ModelFamily& family : model_families())
    std::printf("%-13s %s\n  parts       %s\n  videos      %s\n  broadcast   %s (configs/broadcast)\n\n", family.name, family.title, family.published,
                family.sizes, family.presets);
  std::printf("`pyracast inspect SNAPSHOT` says what a snapshot on disk is, needs, and lacks.\n");
  return 0;
}

}  // namespace pyracast
