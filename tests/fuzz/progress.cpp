// libFuzzer: any bytes as saved progress are progress or an Error. The first byte chooses: even, a whole file; odd, its text
// "about", around which the tensors and a true seal are supplied, so that mutations reach what is read after the seal.
#include <cstring>

#include "base/error.hpp"
#include "base/json.hpp"
#include "pipeline/progress_file.hpp"

using namespace pyracast;

namespace {

StoredTensor tensor(std::string_view bytes, DType dtype, const Shape& shape) {
  return {dtype, shape, std::as_bytes(std::span(bytes)), nullptr, ""};
}

/// As write_safetensors lays it out.
std::string file_of(const StoredTensors& tensors) {
  Json header = Json::object();
  std::string data;
  for (const auto& [name, t] : tensors) {
    header[name] = {
        {"dtype", t.dtype == DType::float32 ? "F32" : "U8"}, {"shape", t.shape}, {"data_offsets", {data.size(), data.size() + t.bytes.size()}}};
    data.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  }
  const std::string text = header.dump();
  const uint64_t length = text.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + text + data;
}

std::string file_around(std::string_view about) {
  static const std::string floats(16, '\0'), none;
  StoredTensors tensors{{"about", tensor(about, DType::uint8, {int64_t(about.size())})},
                        {"latents", tensor(floats, DType::float32, {2, 2})},
                        {"previous", tensor(none, DType::float32, {0})},
                        {"guidance_difference", tensor(floats, DType::float32, {4})},
                        {"video", tensor(none, DType::uint8, {0})},
                        {"latents_before", tensor(none, DType::float32, {0})},
                        {"step_latents", tensor(none, DType::float32, {0})},
                        {"embedding", tensor(none, DType::float32, {0})},
                        {"sampler.0", tensor(floats, DType::float32, {4})},
                        {"output.spatial_attention.3", tensor(floats, DType::float32, {1, 1, 2, 2})},
                        {"unconditional_output.spatial_attention.3", tensor(floats, DType::float32, {1, 1, 2, 2})}};
  const std::string seal = seal_of_progress(tensors);
  tensors["seal"] = tensor(seal, DType::uint8, {int64_t(seal.size())});
  return file_of(tensors);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string text = data[0] % 2 ? file_around(rest) : std::string(rest);
  const std::vector<char> file(text.begin(), text.end());   // a block of its own, so that reading too far is seen
  try {
    parse_progress(std::as_bytes(std::span(file)), "input");
  } catch (const Error&) {
  }
  return 0;
}
