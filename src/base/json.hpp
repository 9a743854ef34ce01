#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>

namespace pyracast {

/// JSON whose objects keep the order in which they are written: the order of PAB's MLP tables has a meaning.
using Json = nlohmann::ordered_json;

/// The JSON in a file. Throws Error naming the file, and the position where it is not JSON.
Json read_json(const std::filesystem::path& path);

/// object[key], converted; `fallback` where the key is absent or null. Throws Error naming `where` and the key on
/// another type.
template <class T>
T value_or(const Json& object, const char* key, T fallback, const std::string& where);

/// The same for a key that must be there.
template <class T>
T value(const Json& object, const char* key, const std::string& where);

}  // namespace pyracast

#include "base/error.hpp"

namespace pyracast {

template <class T>
T value(const Json& object, const char* key, const std::string& where) {
  require(object.is_object() && object.contains(key), where, ": the key \"", key, "\" is missing");
  try {
    return object.at(key).template get<T>();
  } catch (const Json::exception&) {
    fail(where, ": \"", key, "\" is ", object.at(key).dump(), ", which has not the expected type");
  }
}

template <class T>
T value_or(const Json& object, const char* key, T fallback, const std::string& where) {
  if (!object.is_object() || !object.contains(key) || object.at(key).is_null()) return fallback;
  return value<T>(object, key, where);
}

}  // namespace pyracast
