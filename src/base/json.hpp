#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>

namespace pyracast {

/// JSON whose objects keep the order in which they are written: the order of PAB's MLP tables has a meaning.
using Json = nlohmann::ordered_json;

/// The JSON in a file. Throws Error naming the file, and the position where it is not JSON.
Json read_json(const std::filesystem::path& path);

/// object[key], converted; `fallback` where the key is absent or null. Throws Error naming `where` and the key on
/// another type: a whole number is neither a fraction nor a truth value, and must fit T.
template <class T>
T value_or(const Json& object, const char* key, T fallback, const std::string& where);

/// The same for a key that must be there.
template <class T>
T value(const Json& object, const char* key, const std::string& where);

/// The same for a whole number of at least 1: sizes and counts.
int64_t count_value(const Json& object, const char* key, const std::string& where);
int64_t count_value_or(const Json& object, const char* key, int64_t fallback, const std::string& where);

}  // namespace pyracast

#include <cmath>
#include <utility>

#include "base/error.hpp"

namespace pyracast {

namespace json_detail {

template <class T>
bool fits(const Json& item, const T*) {
  if constexpr (std::is_same_v<T, bool> || !std::is_arithmetic_v<T>) return true;   // Json::get checks these itself
  else if constexpr (std::is_floating_point_v<T>) return item.is_number();
  else if (item.is_number_unsigned()) return std::in_range<T>(item.get<uint64_t>());
  else return item.is_number_integer() ? std::in_range<T>(item.get<int64_t>())
                                       : item.is_number_float() && item.get<double>() == double(T(item.get<double>()));
}
template <class T>
bool fits(const Json& items, const std::vector<T>*) {
  for (const Json& item : items)
    if (!fits(item, static_cast<const T*>(nullptr))) return false;
  return true;
}

template <class T>
std::string expected_type(const T*) {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  else if constexpr (std::is_integral_v<T>) return std::is_signed_v<T> ? "a whole number" : "a whole number, 0 or more";
  else if constexpr (std::is_floating_point_v<T>) return "a number";
  else if constexpr (std::is_same_v<T, std::string>) return "text";
  else return "another type";
}
template <class T>
std::string expected_type(const std::vector<T>*) {
  return "a list, each of it " + expected_type(static_cast<const T*>(nullptr));
}

}  // namespace json_detail

template <class T>
T value(const Json& object, const char* key, const std::string& where) {
  require(object.is_object() && object.contains(key), where, ": the key \"", key, "\" is missing");
  const Json& item = object.at(key);
  try {
    if (json_detail::fits(item, static_cast<const T*>(nullptr))) return item.get<T>();
  } catch (const Json::exception&) {
  }
  fail(where, ": \"", key, "\" is ", item.dump(), ", expected ", json_detail::expected_type(static_cast<const T*>(nullptr)));
}

template <class T>
T value_or(const Json& object, const char* key, T fallback, const std::string& where) {
  if (!object.is_object() || !object.contains(key) || object.at(key).is_null()) return fallback;
  return value<T>(object, key, where);
}

}  // namespace pyracast
