#include "dataset/log_tail.hpp"

#include <algorithm>
#include <sstream>

#include "dataset/manifest_files.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t tail_bytes = 16 << 10;

std::vector<std::string> last_lines(const fs::path& path) {
  const ReadFile file(path);
  const uint64_t size = file.size(), length = std::min(size, tail_bytes);
  std::istringstream text(file.read(size - length, size_t(length)));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  if (length < size && !lines.empty()) lines.erase(lines.begin());   // cut off at its front
  return lines;
}

}  // namespace

std::string last_words(const fs::path& logs) {
  if (!fs::exists(logs / "rank-0.log")) return "";
  std::string words;
  for (const std::string& line : last_lines(logs / "rank-0.log")) {
    constexpr std::string_view mark = "the job ends: ";
    if (const auto at = line.find(mark); at != std::string::npos) words = line.substr(at + mark.size());
    else words.clear();
  }
  return words;
}

std::vector<std::string> newest_warnings(const fs::path& logs, size_t most) {
  std::vector<std::string> warnings;
  if (!fs::is_directory(logs)) return warnings;
  for (const auto& entry : fs::directory_iterator(logs)) {
    if (entry.path().extension() != ".log") continue;
    for (const std::string& line : last_lines(entry.path()))
      if (line.find("] [warning] ") != std::string::npos || line.find("] [error] ") != std::string::npos) warnings.push_back(line);
  }
  std::sort(warnings.begin(), warnings.end());   // each begins with its time
  if (warnings.size() > most) warnings.erase(warnings.begin(), warnings.end() - long(most));
  return warnings;
}

}  // namespace pyracast
