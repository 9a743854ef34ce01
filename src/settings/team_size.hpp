#pragma once
#include <charconv>
#include <ostream>

#include "base/config.hpp"

namespace pyracast {

/// How many ranks make a video together: 1 or more, or "auto", which a plan of the manifest decides.
struct TeamSize {
  int ranks = 1;   ///< 0: automatic
  bool automatic() const { return ranks == 0; }
  operator int() const { return ranks; }

  friend std::ostream& operator<<(std::ostream& out, TeamSize size) { return size.automatic() ? out << "auto" : out << size.ranks; }
  friend void to_json(Json& json, const TeamSize& size) { json = size.automatic() ? Json("auto") : Json(size.ranks); }
  friend void from_json(const Json& json, TeamSize& size) { size.ranks = json.is_string() ? 0 : json.get<int>(); }
};

inline void convert(const SettingSource& source, const std::string& name, TeamSize& value) {
  const char* const end = source.text.data() + source.text.size();
  const auto [stopped, error] = std::from_chars(source.text.data(), end, value.ranks);
  if (source.text == "auto") value.ranks = 0;
  else require(error == std::errc() && stopped == end && value.ranks != 0, source.where, ": ", name, " is \"", source.text,
               "\", expected a whole number of 1 or more, or auto");
}

}  // namespace pyracast
