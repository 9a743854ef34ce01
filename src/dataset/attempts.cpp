#include "dataset/attempts.hpp"

#include <sstream>

#include "base/file.hpp"
#include "dataset/layout.hpp"

namespace pyracast {

void for_each_attempt(const std::filesystem::path& output, const std::function<void(int64_t, Json)>& each,
                      const std::function<void(const std::string&)>& say) {
  const std::filesystem::path file = OutputLayout{output}.work() / "attempts.jsonl";
  if (!std::filesystem::exists(file)) return;
  std::istringstream lines(read_file(file));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line); ++number) {
    Json attempt = Json::parse(line, nullptr, false);
    if (attempt.is_object()) each(number, std::move(attempt));
    else say(concat(file.string(), ":", number + 1, ": is no run (expected a JSON object); the line is left out"));
  }
}

}  // namespace pyracast
