#pragma once
#include <array>
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
  /// Waits for the device.
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
