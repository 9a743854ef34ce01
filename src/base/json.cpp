#include "base/json.hpp"

#include "base/file.hpp"

namespace pyracast {

Json read_json(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    fail(path.string(), ": is not valid JSON: ", error.what());
  }
}

int64_t count_value(const Json& object, const char* key, const std::string& where) {
  const auto count = value<int64_t>(object, key, where);
  require(count > 0, where, ": \"", key, "\" is ", count, ", expected at least 1");
  return count;
}

int64_t count_value_or(const Json& object, const char* key, int64_t fallback, const std::string& where) {
  const bool given = object.is_object() && object.contains(key) && !object.at(key).is_null();
  return given ? count_value(object, key, where) : fallback;
}

}  // namespace pyracast
