// libFuzzer: any bytes as a safetensors file give tensors that lie inside them, or an Error.
#include "base/safetensors.hpp"

#include <cstdlib>

#include "base/error.hpp"

using namespace pyracast;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    unsigned sum = 0;
    for (const auto& [name, tensor] : parse_safetensors(bytes, nullptr, "fuzz"))
      for (const std::byte byte : tensor.bytes) sum += unsigned(byte);
    volatile unsigned kept = sum;   // the bytes are read, so that the sanitizer sees where they lie
    (void)kept;
  } catch (const Error&) {
  }
  return 0;
}
