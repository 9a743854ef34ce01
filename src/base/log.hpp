#pragma once
#include <spdlog/spdlog.h>

#include <filesystem>

namespace pyracast {

/// Sends spdlog's messages to this file (appended, flushed at each line) and warnings to stderr as well. One file a
/// rank: what happened there, when.
void open_log(const std::filesystem::path& file);

}  // namespace pyracast
