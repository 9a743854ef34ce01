#include "base/share.hpp"

#include "base/error.hpp"
#include "base/file.hpp"

namespace pyracast {

double percent_of(const std::string& text, std::string_view setting, std::string_view expected) {
  size_t end = 0;
  double percent = -1;
  try {
    percent = std::stod(text, &end);
  } catch (const std::exception&) {
  }
  require(end + 1 == text.size() && text.back() == '%' && percent >= 0 && percent <= 100, setting, " is \"", text, "\", expected ", expected);
  return percent;
}

bool is_in_share(std::string_view key, double percent) {
  return percent >= 100 || double(std::stoul(sha256(key).substr(0, 7), nullptr, 16)) < percent / 100 * double(1 << 28);
}

}  // namespace pyracast
