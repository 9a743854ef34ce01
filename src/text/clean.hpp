#pragma once
// The caption cleaning of the published pipelines (DeepFloyd's, as Open-Sora, Latte and Open-Sora-Plan use it).
#include <string>
#include <string_view>

namespace pyracast {

/// One pass of all rules. Text is UTF-8 throughout; Error where it is not.
std::string clean_once(std::string_view text);
/// Two passes: what the pipelines do.
std::string clean(std::string_view text);
/// Lower case, blanks around removed: what pipelines do with cleaning off.
std::string lower_strip(std::string_view text);
/// Mended encoding (ftfy), HTML entities resolved twice, blanks around removed.
std::string basic_clean(std::string_view text);

}  // namespace pyracast
