#pragma once
#include <string>
#include <string_view>

namespace pyracast {

/// What gnuplot prints when it is given this script. Nothing of the user's own gnuplot settings takes part. Throws
/// Error, of exit code 69, where gnuplot is missing or stops at a mistake.
std::string run_gnuplot(const std::string& script);

/// Any text as a gnuplot string, in which gnuplot sees neither commands, escapes nor variables. Line breaks and other
/// control characters become spaces.
std::string gnuplot_string(std::string_view text);

}  // namespace pyracast
