#include "comm/gather.hpp"

#include <numeric>

namespace pyracast {

std::vector<int64_t> part_sizes(int64_t count, int size) {
  std::vector<int64_t> sizes;
  for (int rank = 0; rank < size; ++rank) sizes.push_back(part_start(count, rank + 1, size) - part_start(count, rank, size));
  return sizes;
}

Tensor gather(Communicator& team, const Tensor& part, int axis, std::span<const int64_t> sizes) {
  if (team.size() == 1) return part;
  Shape shape = part.shape();
  shape[size_t(axis)] = 1;
  const int64_t slice_size = size_of(shape);
  std::vector<int64_t> received;
  for (const int64_t size : sizes) received.push_back(size * slice_size);
  const Tensor all(part.backend(), {std::accumulate(received.begin(), received.end(), int64_t(0))}, part.dtype());
  team.all_gather(part.view(), all.view(), received);
  shape[size_t(axis)] = std::accumulate(sizes.begin(), sizes.end(), int64_t(0));
  return joined(all, shape, axis, sizes);
}

Tensor gather_on_first(Communicator& team, const Tensor& part, std::span<const int64_t> sizes) {
  if (team.size() == 1) return part;
  std::vector<int64_t> sent(sizes.size(), 0), received(sizes.size(), 0);
  sent[0] = part.size();
  if (team.rank() == 0) received.assign(sizes.begin(), sizes.end());
  const Tensor all(part.backend(), {std::accumulate(received.begin(), received.end(), int64_t(0))}, part.dtype());
  team.all_to_all(part.view(), sent, all.view(), received);
  return all;
}

}  // namespace pyracast
