#pragma once
#include "comm/gather.hpp"

namespace pyracast {

/// An all-to-all that goes on beside the operations of its device. It holds what is sent and what arrives until operations follow its end,
/// so that memory is given back, which happens in the order of operations, when nothing reads or writes it any more.
class Transfer {
 public:
  /// Begins it, behind the operations so far; `sent` and `received` as all_to_all() takes them.
  Transfer(Communicator& team, Tensor x, Counts sent, Counts received);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// What arrives, flat; operations that are asked for from here on follow it. Once.
  Tensor arrived();

 private:
  Tensor sent_, arriving_;
  Moment end_;
};

}  // namespace pyracast
