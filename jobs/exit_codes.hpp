#pragma once
#include "base/error.hpp"

namespace pyracast {

/// Exit codes that batch scripts rely on.
enum class ExitCode {
  complete = 0,
  check_failed = 1,             ///< parity or verification found a difference
  complete_with_failures = 3,
  bad_input = 64,
  fingerprint_mismatch = 65,
  environment = 69,
  more_to_do = 75,
};

/// An Error that ends the program with another code than bad_input.
struct ExitError : Error {
  ExitError(ExitCode code, const std::string& message) : Error(message), code(code) {}
  ExitCode code;
};

}  // namespace pyracast
