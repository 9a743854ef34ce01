#pragma once
#include "base/json.hpp"
#include "text/prompt.hpp"

namespace pyracast {

/// `aes`, `flow` and `camera_motion` of a case; null: absent.
PromptHints prompt_hints(const Json& row, const std::string& where);

}  // namespace pyracast
