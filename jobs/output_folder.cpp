#include "jobs/output_folder.hpp"

#include "base/error.hpp"
#include "jobs/signals.hpp"

namespace pyracast {

OutputFolder::OutputFolder(const Ranks& ranks, const std::filesystem::path& folder) {
  require(!folder.empty(), "where to write is not known: give --output DIR");
  ranks.on_first([&] {
    std::error_code error;
    for (const char* part : {"", "work", "logs", "videos", "shards"}) {
      std::filesystem::create_directories(folder / part, error);
      if (error) throw Error(concat((folder / part).string(), ": cannot be made: ", error.message()), ExitCode::environment);
    }
    lock_.emplace(folder, std::chrono::seconds(30), asked_to_stop);
  });
}

}  // namespace pyracast
