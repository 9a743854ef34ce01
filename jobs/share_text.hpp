#pragma once
#include <functional>
#include <string>

#include "comm/ranks.hpp"

namespace pyracast {

/// What `make` gives on rank 0, on every rank. What it throws as Error is thrown on all. All ranks call this.
inline std::string text_of_first(const Ranks& ranks, const std::function<std::string()>& make) {
  std::string text;
  ranks.on_first([&] { text = make(); });
  uint64_t length = text.size();
  check_mpi(MPI_Bcast(&length, 1, MPI_UINT64_T, 0, ranks.world()), "sharing a text");
  text.resize(length);
  check_mpi(MPI_Bcast(text.data(), int(length), MPI_CHAR, 0, ranks.world()), "sharing a text");
  return text;
}

}  // namespace pyracast
