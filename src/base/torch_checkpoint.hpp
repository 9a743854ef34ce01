#pragma once
#include "base/weight_file.hpp"

namespace pyracast {

/// The tensors of a PyTorch checkpoint that lies in memory. `owner` keeps `bytes` alive; `file` names it in messages.
/// Throws Error as read_torch_checkpoint does.
StoredTensors parse_torch_checkpoint(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                                     const std::string& file);

}  // namespace pyracast
