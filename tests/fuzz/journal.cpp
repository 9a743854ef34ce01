// libFuzzer: any bytes as a journal give whole samples and a problem, or whole samples alone; each comes back from the
// bytes that are written for it. The first byte chooses: even, a whole file; odd, the payload of one record whose header
// and checksum are supplied, so that mutations reach the sample.
#include <zlib.h>

#include <cstdlib>
#include <cstring>

#include "dataset/journal.hpp"

using namespace pyracast;

namespace {

std::string journal_around(std::string_view payload) {
  const uint64_t size = payload.size();
  const auto crc = uint32_t(crc32_z(0, reinterpret_cast<const uint8_t*>(payload.data()), payload.size()));
  std::string text = "PYRAJNL1" + std::string(64, 'f') + "SAMP" + std::string(12, '\0');
  std::memcpy(text.data() + 76, &size, 8);
  std::memcpy(text.data() + 84, &crc, 4);
  return text.append(payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string text = data[0] % 2 ? journal_around(rest) : std::string(rest);
  const std::vector<char> file(text.begin(), text.end());   // a block of its own, so that reading too far is seen
  uint64_t records = 0;
  const JournalEnd end = read_journal(std::as_bytes(std::span(file)), std::string(64, 'f'), [&](const SampleRecord& record) {
    ++records;
    const auto bytes = to_bytes(record);
    if (to_bytes(sample_from_bytes(bytes)) != bytes) std::abort();
  });
  if (end.records != records) std::abort();
  return 0;
}
