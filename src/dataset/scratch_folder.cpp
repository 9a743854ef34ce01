#include "dataset/scratch_folder.hpp"

#include <cerrno>
#include <cstdlib>

#include "base/error.hpp"

namespace pyracast {

ScratchFolder::ScratchFolder(std::filesystem::path parent) {
  std::error_code none;
  if (parent.empty()) parent = std::filesystem::temp_directory_path(none);
  if (none) throw Error(concat("there is no folder for temporary files: ", none.message(), ": set TMPDIR to one"), ExitCode::environment);
  std::string name = (parent / "pyracast-XXXXXX").string();
  if (!::mkdtemp(name.data()))
    throw Error(concat(name, ": cannot be made: ", reason_of(errno), ": set TMPDIR to a folder that can be written"), ExitCode::environment);
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace pyracast
