#pragma once
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace pyracast {

/// How a program ends; batch scripts rely on the numbers.
enum class ExitCode {
  complete = 0,
  check_failed = 1,             ///< parity found a difference; validate a row that would be rejected; doctor something amiss
  complete_with_failures = 3,
  damaged = 4,                  ///< verify: a file is not what it was, is missing, or is nobody's; compare: one is unreadable, or two differ in size
  bad_input = 64,
  fingerprint_mismatch = 65,
  environment = 69,
  more_to_do = 75,
};

/// What came from outside (configuration, weights, manifest, file system) is not as it must be. The message says what
/// was found, what was expected, where, and what to do.
struct Error : std::runtime_error {
  explicit Error(const std::string& message, ExitCode code = ExitCode::bad_input) : std::runtime_error(message), code(code) {}
  ExitCode code;                ///< how the program ends because of it
};

/// An Error that all ranks of a job have thrown alike, so that each can end by itself.
struct AgreedError : Error {
  using Error::Error;
};

/// The system's own words for an error number, and what to do about it where that is known: "Permission denied (…)".
std::string reason_of(int error);

/// What any exception is to a user. Of the standard library's about files it says which one, and what to do; the code of all that is no Error is
/// the environment's.
Error as_error(const std::exception& error);

/// [2, 3, 4]: how shapes stand in messages.
template <class T>
std::ostream& operator<<(std::ostream& out, const std::vector<T>& values) {
  out << '[';
  for (size_t i = 0; i < values.size(); ++i) out << (i ? ", " : "") << values[i];
  return out << ']';
}

/// The parts, printed one after the other.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Throws Error with the parts as its message.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(concat(parts...));
}

/// Throws Error with the parts as its message unless `ok`. For input from outside; `assert` is for bugs.
template <class... Parts>
void require(bool ok, const Parts&... parts) {
  if (!ok) fail(parts...);
}

}  // namespace pyracast
