#include "dataset/sample.hpp"

#include <cstring>

namespace pyracast {

namespace {

template <class Element>
Json binary_of(const std::vector<Element>& values) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  return Json::binary({bytes, bytes + values.size() * sizeof(Element)});
}

template <class Element>
std::vector<Element> elements_of(const Json& json) {
  const auto& bytes = json.get_binary();
  require(bytes.size() % sizeof(Element) == 0, "a sample's array of ", bytes.size(), " bytes");
  std::vector<Element> values(bytes.size() / sizeof(Element));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

template <class Element>
void write_array(Json& json, const char* name, const SampleArray<Element>& array) {
  if (!array.shape.empty()) json[name] = {{"shape", array.shape}, {"values", binary_of(array.values)}};
}

template <class Element>
SampleArray<Element> read_array(const Json& json, const char* name) {
  if (!json.contains(name)) return {};
  SampleArray<Element> array{json.at(name).at("shape").get<Shape>(), elements_of<Element>(json.at(name).at("values"))};
  int64_t count = 1;
  for (const int64_t size : array.shape) {
    require(size >= 0 && size < (int64_t(1) << 31), "a sample's ", name, " is ", array.shape);
    require(!__builtin_mul_overflow(count, size, &count), "a sample's ", name, " is ", array.shape);
  }
  require(count == int64_t(array.values.size()), "a sample's ", name, " is ", array.shape, " but has ",
          array.values.size(), " values");
  return array;
}

}  // namespace

std::vector<uint8_t> to_bytes(const SampleRecord& record) {
  Json json = Json::object();
  SampleRecord::fields([&](SampleGroup, const char* name, const auto& member) { json[name] = member; }, record);
  json["step_seconds"] = binary_of(record.step_seconds);
  json["step_counts"] = binary_of(record.step_counts);
  SampleRecord::arrays([&](const char* name, size_t, const auto& array) { write_array(json, name, array); }, record);
  if (record.pixels)
    json["pixels"] = {{"frames", record.pixels->frames}, {"height", record.pixels->height}, {"width", record.pixels->width},
                      {"fps", record.pixels->fps}, {"rgb", binary_of(record.pixels->rgb)}};
  return Json::to_cbor(json);
}

SampleRecord sample_from_bytes(std::span<const uint8_t> bytes) {
  try {
    const Json json = Json::from_cbor(bytes);
    SampleRecord record;
    SampleRecord::fields([&](SampleGroup, const char* name, auto& member) { json.at(name).get_to(member); }, record);
    record.step_seconds = elements_of<std::array<float, step_phases.size()>>(json.at("step_seconds"));
    record.step_counts = elements_of<std::array<int64_t, step_counters.size()>>(json.at("step_counts"));
    require(record.step_counts.size() == record.step_seconds.size(), "a sample has seconds of ", record.step_seconds.size(),
            " evaluations and counts of ", record.step_counts.size());
    SampleRecord::arrays([&]<class Element>(const char* name, size_t, SampleArray<Element>& array) {
      array = read_array<Element>(json, name);
    }, record);
    if (json.contains("pixels")) {
      const Json& pixels = json.at("pixels");
      Video video{pixels.at("frames").get<int>(), pixels.at("height").get<int>(), pixels.at("width").get<int>(),
                  pixels.at("fps").get<double>(), elements_of<uint8_t>(pixels.at("rgb"))};
      require(video.frames > 0 && video.height > 0 && video.width > 0 &&
                  video.rgb.size() / size_t(video.frames) == video.frame_bytes() &&
                  video.rgb.size() % size_t(video.frames) == 0,
              "a sample's pixels are ", video.frames, " x ", video.height, " x ", video.width, " with ", video.rgb.size(), " bytes");
      record.pixels = std::move(video);
    }
    return record;
  } catch (const Json::exception& error) {
    fail("not a sample's record: ", error.what());
  }
}

}  // namespace pyracast
