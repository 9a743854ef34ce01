#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace pyracast {

/// How the last run of a folder said in logs/rank-0.log that it ended ("complete"); empty where it has not: it runs, or was
/// killed. Reads the file's end only.
std::string last_words(const std::filesystem::path& logs);

/// The newest lines of warnings and errors at the ends of all logs, oldest first.
std::vector<std::string> newest_warnings(const std::filesystem::path& logs, size_t most);

}  // namespace pyracast
