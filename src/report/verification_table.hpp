#pragma once
#include "base/json.hpp"
#include "dataset/verify.hpp"

namespace pyracast {

/// What verify() has found, for the terminal; at most `most` findings one by one.
std::string verification_table(const Verification& verification, size_t most = 50);
Json verification_json(const Verification& verification);

/// "whole", "whole, with failures", "more to do", "damaged".
std::string verdict(const Verification& verification);

}  // namespace pyracast
