#include "dataset/failure_class.hpp"

namespace pyracast {

std::string failure_class(std::string_view reason) {
  std::string out;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  for (const char c : reason.substr(0, reason.find(':'))) {
    if (!is_digit(c)) out += c;
    else if (out.empty() || out.back() != 'N') out += 'N';
  }
  return out.empty() ? "no reason given" : out;
}

}  // namespace pyracast
