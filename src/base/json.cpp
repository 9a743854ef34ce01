#include "base/json.hpp"

#include <fstream>

namespace pyracast {

Json read_json(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  require(in.good(), path.string(), ": cannot be opened (expected a JSON file)");
  try {
    return Json::parse(in);
  } catch (const Json::exception& error) {
    fail(path.string(), ": is not valid JSON: ", error.what());
  }
}

}  // namespace pyracast
