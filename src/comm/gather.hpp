#pragma once
#include "comm/communicator.hpp"
#include "tensor/ops.hpp"

namespace pyracast {

/// Where consecutive part `rank` begins when `count` things are dealt out to `size` ranks as evenly as can be.
inline int64_t part_start(int64_t count, int rank, int size) { return count * rank / size; }

/// The sizes of all those parts.
std::vector<int64_t> part_sizes(int64_t count, int size);

/// Joins the parts of all ranks along an axis, on every rank; sizes[q] is the size of rank q's part along it.
Tensor gather(Communicator& team, const Tensor& part, int axis, std::span<const int64_t> sizes);

/// Joins the parts of all ranks one behind the other, flat, on the first rank; the others get none of it. sizes[q]: elements of rank q's.
Tensor gather_on_first(Communicator& team, const Tensor& part, std::span<const int64_t> sizes);

}  // namespace pyracast
