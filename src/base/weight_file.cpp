// Where the weights of a network lie: a file, an index of shards, or a folder as it is published.
#include "base/weight_file.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

constexpr const char* torch_extensions[] = {".bin", ".pt", ".pth", ".ckpt"};

// In the order in which a folder is searched: safetensors before PyTorch files, an index before a single file.
constexpr const char* names_in_folders[] = {
    "model.safetensors.index.json",  "diffusion_pytorch_model.safetensors.index.json",
    "model.safetensors",             "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin.index.json",  "diffusion_pytorch_model.bin.index.json",
    "pytorch_model.bin",             "diffusion_pytorch_model.bin",
    "checkpoint.ckpt"};

bool is_torch_file(const fs::path& path) {
  return std::ranges::find(torch_extensions, path.extension().string()) != std::end(torch_extensions);
}

StoredTensors read_single(const fs::path& path) {
  if (path.extension() == ".safetensors") return read_safetensors(path);
  require(is_torch_file(path), path.string(),
          ": unknown kind of weight file; expected .safetensors, .bin, .pt, .pth, .ckpt or .index.json");
  return read_torch_checkpoint(path);
}

/// The path of a shard, which must not lie outside the index's folder.
fs::path shard_path(const fs::path& index, const std::string& shard) {
  const fs::path relative = fs::path(shard).lexically_normal();
  require(!shard.empty() && shard.find('\0') == std::string::npos && relative.is_relative() &&
              *relative.begin() != ".." && relative.has_filename() && relative != ".",
          index.string(), ": the shard \"", shard, "\" is not a file name inside the index's folder");
  return index.parent_path() / relative;
}

/// Takes the tensors that the index places in one shard.
void read_shard(const fs::path& index, const std::string& shard, const std::vector<std::string>& names,
                StoredTensors& tensors) {
  const fs::path path = shard_path(index, shard);
  require(fs::exists(path), index.string(), ": the shard \"", shard, "\" (", names.size(), " tensors, the first is ",
          names.front(), ") is missing; copy all files of the snapshot");
  StoredTensors stored = read_single(path);
  for (const std::string& name : names) {
    const auto found = stored.find(name);
    require(found != stored.end(), index.string(), ": says that ", name, " is in \"", shard,
            "\", which does not hold it");
    tensors.insert(stored.extract(found));
  }
}

StoredTensors read_index(const fs::path& index) {
  const Json json = read_json(index);
  require(json.is_object() && json.contains("weight_map") && json["weight_map"].is_object(), index.string(),
          ": expected an index with an object \"weight_map\" (tensor name -> file)");
  std::map<std::string, std::vector<std::string>> names_by_shard;
  for (const auto& [name, shard] : json["weight_map"].items()) {
    require(shard.is_string(), index.string(), ": the file of ", name, " is not a text");
    names_by_shard[shard.get<std::string>()].push_back(name);
  }
  StoredTensors tensors;
  for (const auto& [shard, names] : names_by_shard) read_shard(index, shard, names, tensors);
  return tensors;
}

/// The only file of these in the folder, or an empty path. Throws Error when there are several.
fs::path only_file(const fs::path& folder, bool (*wanted)(const fs::path&)) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && wanted(entry.path())) found.push_back(entry.path().filename().string());
  std::ranges::sort(found);
  require(found.size() <= 1, folder.string(), ": holds several weight files ", found,
          " and none under a published name; name the file to use");
  return found.empty() ? fs::path() : folder / found.front();
}

fs::path weights_in(const fs::path& folder) {
  for (const char* name : names_in_folders)
    if (fs::exists(folder / name)) return folder / name;
  const auto is_safetensors = [](const fs::path& file) { return file.extension() == ".safetensors"; };
  // Not any .bin: training_args.bin and the like are no weights.
  const auto is_checkpoint = [](const fs::path& file) { return is_torch_file(file) && file.extension() != ".bin"; };
  if (const auto file = only_file(folder, is_safetensors); !file.empty()) return file;
  if (const auto file = only_file(folder, is_checkpoint); !file.empty()) return file;
  std::string looked_for;
  for (const char* name : names_in_folders) looked_for += std::string(name) + ", ";
  fail(folder.string(), ": holds no weights; looked for ", looked_for, "*.safetensors, *.pt, *.pth, *.ckpt");
}

}  // namespace

StoredTensors read_weights(const fs::path& path) {
  require(fs::exists(path), path.string(), ": does not exist (expected a weight file, an index or a folder)");
  const fs::path file = fs::is_directory(path) ? weights_in(path) : path;
  return file.extension() == ".json" ? read_index(file) : read_single(file);
}

}  // namespace pyracast
