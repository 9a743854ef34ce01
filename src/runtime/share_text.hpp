#pragma once
#include <functional>
#include <string>

#include "comm/ranks.hpp"

namespace pyracast {

/// The text of the communicator's first rank, on all its ranks, which wait asleep for it. `what`: of what messages say that it failed. All its ranks
/// call this.
inline std::string shared_text(MPI_Comm ranks, std::string text, const char* what) {
  const auto share = [&](void* data, uint64_t bytes) {
    MPI_Request request;
    check_mpi(MPI_Ibcast(data, int(bytes), MPI_BYTE, 0, ranks, &request), what);
    await(request, what);
  };
  uint64_t length = text.size();
  share(&length, sizeof length);
  text.resize(length);
  share(text.data(), length);
  return text;
}

/// What `make` gives on rank 0, on every rank. What it throws as Error is thrown on all. All ranks call this.
inline std::string text_of_first(const Ranks& ranks, const std::function<std::string()>& make) {
  std::string text;
  ranks.on_first([&] { text = make(); });
  return shared_text(ranks.world(), std::move(text), "sharing a text");
}

}  // namespace pyracast
