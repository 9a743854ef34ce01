#include "text/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.hpp"

namespace pyracast {

namespace {

std::string with_python_blanks(std::string_view pattern) {
  static const std::string blanks = R"(\t-\r\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  std::string expanded;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (pattern[i] == '\\' && (next == 's' || next == 'S')) {
      expanded += (next == 's' ? "[" : "[^") + blanks + "]";
      ++i;
    } else {
      expanded += pattern[i];
      if (pattern[i] == '\\' && next) expanded += pattern[++i];
    }
  }
  return expanded;
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

[[noreturn]] void fail_with(int error) {
  PCRE2_UCHAR message[256];
  pcre2_get_error_message(error, message, sizeof message);
  fail("matching the text failed: ", reinterpret_cast<const char*>(message));
}

/// Where a match begins and ends.
class Match {
 public:
  Match() : data_(pcre2_match_data_create(1, nullptr), pcre2_match_data_free) {}

  /// The next match at or behind `from`.
  bool find(const pcre2_code* code, std::string_view text, size_t from) {
    const int count = pcre2_match(code, units(text), text.size(), from, 0, data_.get(), nullptr);
    if (count < 0 && count != PCRE2_ERROR_NOMATCH) fail_with(count);
    return count >= 0;   // 0: there are more groups than this keeps
  }
  size_t begin() const { return pcre2_get_ovector_pointer(data_.get())[0]; }
  size_t end() const { return pcre2_get_ovector_pointer(data_.get())[1]; }

 private:
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data_;
};

}  // namespace

void Pattern::Free::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

Pattern::Pattern(std::string_view pattern, Over over) {
  const std::string expanded = over == Over::characters ? with_python_blanks(pattern) : std::string(pattern);
  int error = 0;
  PCRE2_SIZE where = 0;
  code_.reset(pcre2_compile(units(expanded), expanded.size(), over == Over::characters ? PCRE2_UTF | PCRE2_UCP : 0, &error,
                            &where, nullptr));
  require(code_ != nullptr, "the pattern ", pattern, " is wrong at ", where);
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
}

bool Pattern::found_in(std::string_view text) const { return Match().find(code_.get(), text, 0); }

std::string Pattern::replace(std::string_view text, const char* replacement) const {
  std::string out(text.size() * 2 + 64, '\0');
  for (;;) {
    PCRE2_SIZE length = out.size();
    const int count = pcre2_substitute(code_.get(), units(text), text.size(), 0,
                                       PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_OVERFLOW_LENGTH, nullptr, nullptr,
                                       units(replacement), PCRE2_ZERO_TERMINATED,
                                       reinterpret_cast<PCRE2_UCHAR*>(out.data()), &length);
    out.resize(length);
    if (count == PCRE2_ERROR_NOMEMORY) continue;
    if (count < 0) fail_with(count);
    return out;
  }
}

std::string Pattern::replace_each(std::string_view text,
                                  const std::function<std::string(std::string_view)>& replacement) const {
  std::string out;
  size_t at = 0;
  for (Match match; at < text.size() && match.find(code_.get(), text, at) && match.end() > match.begin(); at = match.end()) {
    out += text.substr(at, match.begin() - at);
    out += replacement(text.substr(match.begin(), match.end() - match.begin()));
  }
  out += text.substr(at);
  return out;
}

}  // namespace pyracast
