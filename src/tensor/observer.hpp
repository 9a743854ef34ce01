#pragma once
#include <concepts>
#include <functional>
#include <string>

#include "tensor/tensor.hpp"

namespace pyracast {

/// Shows named intermediate tensors to whoever asked for them (parity, profile); costs nothing when nobody did.
/// Names are dotted paths: observe / "blocks" / 3 gives an observer whose names start with "blocks.3.".
class Observer {
 public:
  using Sink = std::function<void(const std::string& name, const Tensor& value)>;
  Observer() = default;
  explicit Observer(Sink sink) : sink_(std::make_shared<Sink>(std::move(sink))) {}

  explicit operator bool() const { return bool(sink_); }
  template <class Part>
  Observer operator/(const Part& part) const {
    Observer inner;
    if (sink_) {
      inner.sink_ = sink_;
      inner.prefix_ = concat(prefix_, part, '.');
    }
    return inner;
  }
  void operator()(const char* name, const Tensor& value) const {
    if (sink_) (*sink_)(prefix_ + name, value);
  }
  /// The same of a value that is made only to be shown.
  template <std::invocable Make>
  void operator()(const char* name, Make make) const {
    if (sink_) (*sink_)(prefix_ + name, make());
  }

 private:
  std::shared_ptr<Sink> sink_;
  std::string prefix_;
};

}  // namespace pyracast
