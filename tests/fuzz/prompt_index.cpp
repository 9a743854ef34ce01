// libFuzzer: any bytes as work/manifest.index are an index whose parts lie inside the file, or an Error. The first byte chooses
// whether a sound header is put before the rest.
#include "dataset/prompt_index.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "base/error.hpp"

using namespace pyracast;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2) {
    PromptIndexHeader header;
    header.prompts = bytes.size() / 60;
    bytes.insert(0, reinterpret_cast<const char*>(&header), sizeof header);
  }
  const std::filesystem::path path = concat("/tmp/pyracast-fuzz-index-", ::getpid());
  std::filesystem::remove(path);
  ::close(open_descriptor(path, O_RDWR | O_CREAT));
  append_to_file(path, bytes);
  try {
    const PromptIndex index(path);
    uint64_t sum = 0;
    for (const PromptEntry& entry : index.entries()) sum += entry.samples;
    for (const uint32_t prompt : index.longest_first()) sum += prompt;
    for (uint64_t hash = 0; hash < 8; ++hash) sum += index.with_hash(hash << 61).size();
    volatile uint64_t kept = sum;   // all of it is read, so that the sanitizer sees where it lies
    (void)kept;
  } catch (const Error&) {
  }
  return 0;
}
