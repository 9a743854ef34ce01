#pragma once
#include "tensor/ops.hpp"

namespace pyracast {

/// x [rows, tokens, width] with 0 where the mask [prompts * tokens] is 0; each prompt has `copies` rows in a row.
Tensor without_padding(const Tensor& x, const std::vector<int64_t>& mask, int copies);

}  // namespace pyracast
