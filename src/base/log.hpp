#pragma once
#include <spdlog/spdlog.h>

#include <filesystem>
#include <string_view>

namespace pyracast {

/// Sends spdlog's messages to this file (appended, flushed at each line) and warnings to stderr as well. One file a
/// rank: what happened there, when.
void open_log(const std::filesystem::path& file);

/// Says in the rank's log how its job ends, by the first of these lines; `status` tells of it. Without a log it does nothing.
void log_end(std::string_view words);

}  // namespace pyracast
