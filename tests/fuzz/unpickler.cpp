// libFuzzer: any bytes as a PyTorch checkpoint (zip or legacy) give tensors of readable bytes, or an Error. The first
// byte chooses: even, a whole file; odd, the pickle of a legacy file whose header is supplied, with one storage "0",
// so that mutations reach the tensors.
#include <cstdint>

#include "base/error.hpp"
#include "base/torch_checkpoint.hpp"

using namespace pyracast;

namespace {

std::string legacy_file_around(std::string_view pickle) {
  using namespace std::string_literals;
  const std::string header = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}."s;
  const std::string keys_and_size = "\x80\x02]U\x01\x30" "a.\x08\0\0\0\0\0\0\0"s;
  return header + std::string(pickle) + keys_and_size + std::string(64, '\1');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  // A block of its own, so that reading one byte too far is seen.
  const std::string text = data[0] % 2 ? legacy_file_around(rest) : std::string(rest);
  const std::vector<char> file(text.begin(), text.end());
  try {
    unsigned sum = 0;
    for (const auto& [name, tensor] : parse_torch_checkpoint(std::as_bytes(std::span(file)), nullptr, "fuzz"))
      for (const std::byte byte : tensor.bytes) sum += unsigned(byte);
    volatile unsigned kept = sum;
    (void)kept;
  } catch (const Error&) {
  }
  return 0;
}
