#pragma once
#include <string>
#include <string_view>

namespace pyracast {

/// "5%" as 5; 0 to 100. Throws Error "`setting` is "…", expected `expected`" on anything else.
double percent_of(const std::string& text, std::string_view setting, std::string_view expected = "a percentage like 5%");

/// Whether `key` is among so many percent of all keys, by its hash: the same ones each time, and among those of every larger share.
bool is_in_share(std::string_view key, double percent);

}  // namespace pyracast
