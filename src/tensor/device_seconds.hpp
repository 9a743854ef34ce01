#pragma once
#include <array>
#include <utility>
#include <vector>

#include "kernels/backend.hpp"

namespace pyracast {

/// Adds up what stretches of operations take on their device, by kinds, without waiting for it before the sums are asked for.
template <size_t kinds>
class DeviceSeconds {
 public:
  /// What `act` gives; the operations it asks `backend` for are a stretch of that kind.
  template <class Act>
  auto timed(Backend& backend, size_t kind, Act act) {
    const Moment from = backend.moment();
    auto out = act();
    open_.push_back({&backend, kind, from, backend.moment()});
    return out;
  }

  /// From 0 on; what is open is left out.
  void restart() {
    sums_ = {};
    open_.clear();
  }
  /// All of it, to be asked for later; what is timed from here on counts from 0.
  DeviceSeconds taken() { return std::exchange(*this, {}); }
  DeviceSeconds& operator+=(const DeviceSeconds& more) {
    for (size_t kind = 0; kind < kinds; ++kind) sums_[kind] += more.sums_[kind];
    open_.insert(open_.end(), more.open_.begin(), more.open_.end());
    return *this;
  }
  /// Waits for the device, as far as the last stretch.
  const std::array<double, kinds>& sums() {
    for (const Stretch& stretch : open_) sums_[stretch.kind] += stretch.backend->seconds(stretch.from, stretch.to);
    open_.clear();
    return sums_;
  }

 private:
  struct Stretch {
    Backend* backend;
    size_t kind;
    Moment from, to;
  };
  std::array<double, kinds> sums_{};
  std::vector<Stretch> open_;
};

}  // namespace pyracast
