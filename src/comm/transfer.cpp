#include "comm/transfer.hpp"

#include <numeric>
#include <utility>

namespace pyracast {

Transfer::Transfer(Communicator& team, Tensor x, Counts sent, Counts received)
    : sent_(std::move(x)), arriving_(sent_.backend(), {std::accumulate(received.begin(), received.end(), int64_t(0))}, sent_.dtype()),
      end_(team.begin_all_to_all(sent_.view(), sent, arriving_.view(), received)) {}

// Where an error left it under way.
Transfer::~Transfer() {
  if (sent_.empty()) return;
  try {
    sent_.backend().follow(end_);
  } catch (const Error&) {   // of a device that is broken, and says so to whoever asks it next
  }
}

Tensor Transfer::arrived() {
  sent_.backend().follow(end_);
  sent_ = {};
  return std::exchange(arriving_, {});
}

}  // namespace pyracast
