#pragma once
#include <utility>

#include "kernels/cpu/worth_threads.hpp"

namespace pyracast {

/// While it lives, the CPU's operations share out to their threads what is too little to be worth it, so that small tensors test that.
class SharedOut {
 public:
  SharedOut() : before_(std::exchange(elements_worth_threads, 0)) {}
  ~SharedOut() { elements_worth_threads = before_; }
  SharedOut(const SharedOut&) = delete;

 private:
  int64_t before_;
};

}  // namespace pyracast
