#pragma once
#include <string>
#include <string_view>

namespace pyracast {

/// What failures with reasons like this one have in common: the reason up to the first colon, with an N for every number.
/// "the latents are not finite after step N of N".
std::string failure_class(std::string_view reason);

}  // namespace pyracast
