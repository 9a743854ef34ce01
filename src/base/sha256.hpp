#pragma once
#include <span>
#include <string>
#include <string_view>

namespace pyracast {

/// SHA-256 of what comes in parts.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  /// Lower-case, of all that was added; nothing may be added after it.
  std::string hexadecimal();
  /// The same, and more may be added.
  std::string hexadecimal_so_far() const;

 private:
  void* context_;
};

}  // namespace pyracast
