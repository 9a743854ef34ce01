#include "pipeline/progress_file.hpp"

#include <cstring>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/safetensors.hpp"

namespace pyracast {

namespace {

constexpr const char* about_name = "about";
constexpr const char* seal_name = "seal";
constexpr int64_t format = 1;

template <class T>
StoredTensor stored(const std::vector<T>& values, const Shape& shape, DType dtype) {
  return {dtype, shape, std::as_bytes(std::span(values)), nullptr, ""};
}
StoredTensor stored(const HostTensor& tensor) { return stored(tensor.values, tensor.shape, DType::float32); }
StoredTensor stored(std::string_view text) { return {DType::uint8, {int64_t(text.size())}, std::as_bytes(std::span(text)), nullptr, ""}; }

Json json_of(const EvaluationCost& cost) {
  return {cost.branches, cost.communication, cost.other, cost.computed, cost.all_to_alls, cost.all_to_all_bytes, cost.all_to_all_bytes_avoided,
          cost.gather_bytes, cost.branch_all_to_alls, cost.branch_bytes};
}

EvaluationCost cost_of(const Json& json) {
  EvaluationCost cost;
  json.at(0).get_to(cost.branches);
  json.at(1).get_to(cost.communication);
  json.at(2).get_to(cost.other);
  json.at(3).get_to(cost.computed);
  json.at(4).get_to(cost.all_to_alls);
  json.at(5).get_to(cost.all_to_all_bytes);
  json.at(6).get_to(cost.all_to_all_bytes_avoided);
  json.at(7).get_to(cost.gather_bytes);
  json.at(8).get_to(cost.branch_all_to_alls);
  json.at(9).get_to(cost.branch_bytes);
  return cost;
}

Json about(const ProgressLabel& label, const VideoProgress& p) {
  const VideoResult& r = p.result;
  Json json{{"format", format}, {"fingerprint", label.fingerprint}, {"id", label.id}, {"sample", label.sample}, {"clip", p.clip},
            {"evaluations", p.evaluations}, {"sampler_step", p.sampler_step}, {"sampler_history", p.sampler_history.size()},
            {"frames", r.video.frames}, {"height", r.video.height}, {"width", r.video.width}, {"fps", r.video.fps},
            {"latent_shape", r.latent_shape}, {"encoded_prompt", r.encoded_prompt}, {"embedding_shape", r.embedding_shape},
            {"text_seconds", r.text_seconds}, {"decode_seconds", r.decode_seconds}, {"costs", Json::array()}};
  for (const EvaluationCost& cost : r.evaluations) json["costs"].push_back(json_of(cost));
  return json;
}

/// The tensor's elements; its type must be T's.
template <class T>
std::vector<T> values_of(const StoredTensors& tensors, const std::string& name, DType dtype) {
  const StoredTensor& tensor = tensors.at(name);
  if (tensor.dtype != dtype) throw std::out_of_range(name + " has another type");
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), values.size() * sizeof(T));
  return values;
}
HostTensor host_tensor(const StoredTensors& tensors, const std::string& name) {
  return {tensors.at(name).shape, values_of<float>(tensors, name, DType::float32)};
}

}  // namespace

std::string seal_of_progress(const StoredTensors& tensors) {
  std::string all;
  for (const auto& [name, tensor] : tensors)
    if (name != seal_name) all += concat(name, ' ', int(tensor.dtype), ' ', tensor.shape, ' ', sha256(tensor.bytes), '\n');
  return sha256(all);
}

void write_progress(const std::filesystem::path& path, const ProgressLabel& label, const VideoProgress& p) {
  const VideoResult& r = p.result;
  const std::string text = about(label, p).dump(-1, ' ', false, Json::error_handler_t::replace);
  StoredTensors tensors{{about_name, stored(text)}, {"latents", stored(p.latents)}, {"previous", stored(p.previous)},
                        {"video", stored(r.video.rgb, {int64_t(r.video.rgb.size())}, DType::uint8)},
                        {"latents_before", stored(r.latents, {int64_t(r.latents.size())}, DType::float32)},
                        {"step_latents", stored(r.step_latents, {int64_t(r.step_latents.size())}, DType::float32)},
                        {"embedding", stored(r.embedding, {int64_t(r.embedding.size())}, DType::float32)}};
  if (p.previous.shape.empty()) tensors["previous"].shape = {0};
  if (p.latents.shape.empty()) tensors["latents"].shape = {0};
  for (size_t i = 0; i < p.sampler_history.size(); ++i) tensors[concat("sampler.", i)] = stored(p.sampler_history[i]);
  const std::string seal = seal_of_progress(tensors);
  tensors[seal_name] = stored(seal);
  write_safetensors(path, tensors);
}

LabelledProgress parse_progress(std::span<const std::byte> bytes, const std::string& file) {
  const StoredTensors tensors = parse_safetensors(bytes, nullptr, file);
  try {
    const auto text_of = [&](const char* name) {
      const auto text = values_of<char>(tensors, name, DType::uint8);
      return std::string(text.begin(), text.end());
    };
    require(text_of(seal_name) == seal_of_progress(tensors), file, ": its bytes are not those that were written");
    const Json json = Json::parse(text_of(about_name));
    require(json.at("format") == format, file, ": has format ", json.at("format").dump(), ", expected ", format);
    LabelledProgress read;
    read.label = {json.at("fingerprint"), json.at("id"), json.at("sample")};
    VideoProgress& p = read.progress;
    json.at("clip").get_to(p.clip);
    json.at("evaluations").get_to(p.evaluations);
    json.at("sampler_step").get_to(p.sampler_step);
    p.latents = host_tensor(tensors, "latents");
    p.previous = host_tensor(tensors, "previous");
    for (size_t i = 0; i < json.at("sampler_history").get<size_t>(); ++i) p.sampler_history.push_back(host_tensor(tensors, concat("sampler.", i)));
    VideoResult& r = p.result;
    json.at("frames").get_to(r.video.frames);
    json.at("height").get_to(r.video.height);
    json.at("width").get_to(r.video.width);
    json.at("fps").get_to(r.video.fps);
    r.video.rgb = values_of<uint8_t>(tensors, "video", DType::uint8);
    json.at("latent_shape").get_to(r.latent_shape);
    r.latents = values_of<float>(tensors, "latents_before", DType::float32);
    r.step_latents = values_of<float>(tensors, "step_latents", DType::float32);
    json.at("encoded_prompt").get_to(r.encoded_prompt);
    json.at("embedding_shape").get_to(r.embedding_shape);
    r.embedding = values_of<float>(tensors, "embedding", DType::float32);
    json.at("text_seconds").get_to(r.text_seconds);
    json.at("decode_seconds").get_to(r.decode_seconds);
    for (const Json& cost : json.at("costs")) r.evaluations.push_back(cost_of(cost));
    return read;
  } catch (const Json::exception& error) {
    fail(file, ": is no progress of a video: ", error.what());
  } catch (const std::out_of_range& error) {
    fail(file, ": is no progress of a video: ", error.what());
  }
}

LabelledProgress read_progress(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_progress(file.bytes(), path.string());
}

}  // namespace pyracast
