#include "dataset/scratch_folder.hpp"

#include <cstdlib>

#include "base/error.hpp"

namespace pyracast {

ScratchFolder::ScratchFolder(const std::filesystem::path& parent) {
  std::string name = (parent / "pyracast-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw Error(concat(name, ": cannot be made"), ExitCode::environment);
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace pyracast
