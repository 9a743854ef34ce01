#include "pipeline/progress_file.hpp"

#include <algorithm>
#include <cstring>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/safetensors.hpp"
#include "base/sha256.hpp"

namespace pyracast {

namespace {

constexpr const char* about_name = "about";
constexpr const char* seal_name = "seal";
constexpr int64_t format = 3;
constexpr int64_t elements_at_once = 4 << 20;   // of an output, in the host's memory

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

std::string output_name(StoredSite stored) {
  return concat(stored.unconditional ? "unconditional_" : "", "output.", name_of(stored.site.branch), '.', stored.site.block);
}

Json about(const ProgressLabel& label, const VideoProgress& p, const std::vector<StoredSite>& sites) {
  const VideoResult& r = p.result;
  Json json{{"format", format}, {"fingerprint", label.fingerprint}, {"id", label.id}, {"sample", label.sample}, {"clip", p.clip},
            {"evaluations", p.evaluations}, {"sampler_step", p.sampler_step}, {"sampler_history", p.sampler_history.size()},
            {"frames", r.video.frames}, {"height", r.video.height}, {"width", r.video.width}, {"fps", r.video.fps},
            {"latent_shape", r.latent_shape}, {"encoded_prompt", r.encoded_prompt}, {"reference_sha256", r.reference_sha256},
            {"embedding_shape", r.embedding_shape},
            {"text_seconds", r.text_seconds}, {"decode_seconds", r.decode_seconds}, {"continuations", r.continuations},
            {"continued_after", r.continued_after}, {"outputs", Json::array()}, {"costs", Json::array()}};
  for (const auto& [site, unconditional] : sites) json["outputs"].push_back({int(site.branch), site.block, int(unconditional)});
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

std::string text_of(const StoredTensors& tensors, const std::string& name) {
  const auto text = values_of<char>(tensors, name, DType::uint8);
  return std::string(text.begin(), text.end());
}

Json about_of(const StoredTensors& tensors, const std::string& file) {
  const Json json = Json::parse(text_of(tensors, about_name));
  require(json.at("format") == format, file, ": has format ", json.at("format").dump(), ", expected ", format);
  return json;
}
ProgressLabel label_of(const Json& about) { return {about.at("fingerprint"), about.at("id"), about.at("sample")}; }

StoredSite site_of(const Json& json, const std::string& file) {
  const int branch = json.at(0), block = json.at(1), unconditional = json.at(2);
  require(branch >= 0 && branch < branch_count && block >= 0 && (unconditional == 0 || unconditional == 1), file, ": names an output of no branch");
  return {{Branch(branch), block}, unconditional == 1};
}

/// What `read` gives; what it finds missing or of another type is an Error as well.
template <class Read>
auto reading(const std::string& file, Read read) {
  try {
    return read();
  } catch (const Json::exception& error) {
    fail(file, ": is no progress of a video: ", error.what());
  } catch (const std::out_of_range& error) {
    fail(file, ": is no progress of a video: ", error.what());
  }
}

/// A tensor's line of what the seal is the hash of.
std::string sealed_line(const std::string& name, DType dtype, const Shape& shape, const std::string& hash) {
  return concat(name, ' ', int(dtype), ' ', shape, ' ', hash, '\n');
}
/// The seal of tensors whose lines are these, by name.
std::string seal_of(const std::map<std::string, std::string>& lines) {
  std::string all;
  for (const auto& [name, line] : lines) all += line;
  return sha256(all);
}

/// Gives a tensor's bytes to `take`, some at a time.
template <class Take>
void take_from(const Tensor& tensor, Take take) {
  std::vector<float> host(size_t(std::min(elements_at_once, tensor.size())));
  for (int64_t begin = 0; begin < tensor.size(); begin += elements_at_once) {
    const int64_t count = std::min(elements_at_once, tensor.size() - begin);
    tensor.backend().download({static_cast<float*>(tensor.view().data) + begin, DType::float32, {count}}, host.data());
    take(std::as_bytes(std::span(host).first(size_t(count))));
  }
}

}  // namespace

std::string seal_of_progress(const StoredTensors& tensors) {
  std::map<std::string, std::string> lines;
  for (const auto& [name, tensor] : tensors)
    if (name != seal_name) lines[name] = sealed_line(name, tensor.dtype, tensor.shape, sha256(tensor.bytes));
  return seal_of(lines);
}

void write_progress(const std::filesystem::path& path, const ProgressLabel& label, const VideoProgress& p, const StoredOutputs& outputs) {
  const VideoResult& r = p.result;
  const std::string text = about(label, p, outputs.sites).dump(-1, ' ', false, Json::error_handler_t::replace);
  StoredTensors wide{{"latents", stored(p.latents)}, {"previous", stored(p.previous)}, {"guidance_difference", stored(p.guidance_difference)},
                     {"latents_before", stored(r.latents, {int64_t(r.latents.size())}, DType::float32)},
                     {"step_latents", stored(r.step_latents, {int64_t(r.step_latents.size())}, DType::float32)},
                     {"embedding", stored(r.embedding, {int64_t(r.embedding.size())}, DType::float32)}};
  if (p.previous.shape.empty()) wide["previous"].shape = {0};
  if (p.latents.shape.empty()) wide["latents"].shape = {0};
  if (p.guidance_difference.shape.empty()) wide["guidance_difference"].shape = {0};
  for (size_t i = 0; i < p.sampler_history.size(); ++i) wide[concat("sampler.", i)] = stored(p.sampler_history[i]);
  const StoredTensors narrow{{about_name, stored(text)}, {"video", stored(r.video.rgb, {int64_t(r.video.rgb.size())}, DType::uint8)}};

  // The widest elements first, the seal last: what it seals comes and goes before.
  std::vector<DeclaredTensor> declared;
  for (const auto& [name, tensor] : wide) declared.push_back({name, tensor.dtype, tensor.shape});
  for (const StoredSite& site : outputs.sites) declared.push_back({output_name(site), DType::float32, outputs.shape});
  for (const auto& [name, tensor] : narrow) declared.push_back({name, tensor.dtype, tensor.shape});
  declared.push_back({seal_name, DType::uint8, {int64_t(sha256(std::string_view()).size())}});

  SafetensorsStream file(path, declared);
  std::map<std::string, std::string> lines;
  const auto write = [&](const StoredTensors& tensors) {
    for (const auto& [name, tensor] : tensors) {
      file.write(tensor.bytes);
      lines[name] = sealed_line(name, tensor.dtype, tensor.shape, sha256(tensor.bytes));
    }
  };
  write(wide);
  for (const StoredSite& site : outputs.sites) {
    Sha256 hash;
    take_from(outputs.next(), [&](std::span<const std::byte> bytes) {
      hash.add(bytes);
      file.write(bytes);
    });
    lines[output_name(site)] = sealed_line(output_name(site), DType::float32, outputs.shape, hash.hexadecimal());
  }
  write(narrow);
  const std::string seal = seal_of(lines);
  file.write(std::as_bytes(std::span(seal)));
  file.publish();
}

LabelledProgress parse_progress(std::span<const std::byte> bytes, const std::string& file, const std::shared_ptr<const void>& owner) {
  const StoredTensors tensors = parse_safetensors(bytes, owner, file);
  return reading(file, [&] {
    require(text_of(tensors, seal_name) == seal_of_progress(tensors), file, ": its bytes are not those that were written");
    const Json json = about_of(tensors, file);
    LabelledProgress read;
    read.label = label_of(json);
    VideoProgress& p = read.progress;
    json.at("clip").get_to(p.clip);
    json.at("evaluations").get_to(p.evaluations);
    json.at("sampler_step").get_to(p.sampler_step);
    p.latents = host_tensor(tensors, "latents");
    p.previous = host_tensor(tensors, "previous");
    p.guidance_difference = host_tensor(tensors, "guidance_difference");
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
    r.reference_sha256 = json.value("reference_sha256", r.reference_sha256);   // none in files of earlier versions
    json.at("embedding_shape").get_to(r.embedding_shape);
    r.embedding = values_of<float>(tensors, "embedding", DType::float32);
    json.at("text_seconds").get_to(r.text_seconds);
    json.at("decode_seconds").get_to(r.decode_seconds);
    json.at("continuations").get_to(r.continuations);
    json.at("continued_after").get_to(r.continued_after);
    for (const Json& cost : json.at("costs")) r.evaluations.push_back(cost_of(cost));
    for (const Json& output : json.at("outputs")) {
      const StoredSite site = site_of(output, file);
      const StoredTensor& tensor = tensors.at(output_name(site));
      require(tensor.dtype == DType::float32, file, ": ", output_name(site), " has another type");
      p.outputs.emplace(site, tensor);
    }
    return read;
  });
}

LabelledProgress read_progress(const std::filesystem::path& path) {
  const auto file = std::make_shared<const MappedFile>(path);
  return parse_progress(file->bytes(), path.string(), file);
}

ProgressLabel label_of_progress(const std::filesystem::path& path) {
  const MappedFile file(path);
  const StoredTensors tensors = parse_safetensors(file.bytes(), nullptr, path.string());
  return reading(path.string(), [&] { return label_of(about_of(tensors, path.string())); });
}

}  // namespace pyracast
