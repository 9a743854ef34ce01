#pragma once
#include "base/weight_file.hpp"

namespace pyracast {

/// The tensors of a safetensors file that lies in memory. `owner` keeps `bytes` alive; `file` names it in messages.
/// Throws Error as read_safetensors does.
StoredTensors parse_safetensors(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                                const std::string& file);

}  // namespace pyracast
