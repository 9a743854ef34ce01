#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct pcre2_real_code_8;

namespace pyracast {

/// A regular expression (PCRE2) that means what it means in Python: \s has a few control characters more than PCRE's
/// and one character less.
class Pattern {
 public:
  /// Whether the pattern's elements are the characters of UTF-8 text or single bytes.
  enum class Over { characters, bytes };

  /// Throws Error on a pattern that is none.
  explicit Pattern(std::string_view pattern, Over over = Over::characters);

  bool found_in(std::string_view text) const;
  /// Every match replaced; $1 stands for the first group.
  std::string replace(std::string_view text, const char* replacement) const;
  /// Every match replaced by what `replacement` makes of it.
  std::string replace_each(std::string_view text, const std::function<std::string(std::string_view)>& replacement) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const;
  };
  std::unique_ptr<pcre2_real_code_8, Free> code_;
};

}  // namespace pyracast
