// libFuzzer: any bytes as a manifest of any format give rows or an Error; a row that is a prompt is valid UTF-8 and
// comes back from the line that is written for it.
#include <cstdlib>

#include "base/error.hpp"
#include "dataset/manifest_reader.hpp"

using namespace pyracast;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const char* const names[] = {"-", "x.jsonl", "x.csv", "x.tsv", "x.txt"};
  const char* const name = names[data[0] % 5];
  const std::string_view content(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    ManifestReader reader(bytes_of(content), name);
    for (int64_t last_line = 0; const auto row = reader.next(); last_line = row->line) {
      if (row->line <= last_line || row->prompt.has_value() != row->reason.empty()) std::abort();
      if (!row->prompt) continue;
      const std::string line = to_json_line(*row->prompt);
      if (valid_utf8_bytes(line) != line.size() || prompt_from_json(line) != *row->prompt) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
