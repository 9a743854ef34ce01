#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.hpp"

namespace pyracast {

using Shape = std::vector<int64_t>;

/// One tensor of a weight file, as stored: row-major, bytes inside a memory-mapped file that `owner` keeps open.
struct StoredTensor {
  DType dtype = DType::float32;
  Shape shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  std::string file;   ///< where it lies, for messages
};

/// Name -> tensor, sorted by name.
using StoredTensors = std::map<std::string, StoredTensor>;

/// The tensors of one safetensors file (memory-mapped; F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL). Every offset, shape
/// and the header's length are checked. Throws Error naming the file and the tensor.
StoredTensors read_safetensors(const std::filesystem::path& path);

/// The tensors of one PyTorch checkpoint, zip or legacy format (base/torch_checkpoint.cpp says what is accepted).
StoredTensors read_torch_checkpoint(const std::filesystem::path& path);

/// All tensors of a network, wherever they lie: a file (.safetensors, or .bin/.pt/.pth/.ckpt), a *.index.json, or a
/// folder, in which an index comes before a single file and safetensors before PyTorch files. Throws Error listing the
/// names looked for when a folder holds none of them.
StoredTensors read_weights(const std::filesystem::path& path);

/// Writes tensors as one safetensors file (temporary name, fsync, rename).
void write_safetensors(const std::filesystem::path& path, const StoredTensors& tensors);

}  // namespace pyracast
