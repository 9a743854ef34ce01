#include "tensor/device_seconds.hpp"

#include <gtest/gtest.h>

#include "kernels/planning_backend.hpp"

namespace pyracast {
namespace {

/// A device on which a second passes with each moment, and which counts how often it is waited for.
class CountingDevice : public PlanningBackend {
 public:
  int waits = 0;
  Moment moment() override { return {std::chrono::steady_clock::time_point(std::chrono::seconds(++now_))}; }
  double seconds(const Moment& from, const Moment& to) override { return ++waits, PlanningBackend::seconds(from, to); }

 private:
  int now_ = 0;
};

TEST(DeviceSeconds, AreAddedUpByKindWithoutWaitingBeforeTheyAreAskedFor) {
  CountingDevice device;
  DeviceSeconds<2> seconds;
  EXPECT_EQ(seconds.timed(device, 0, [&] { return seconds.timed(device, 1, [] { return 7; }) + 1; }), 8);   // one inside the other
  seconds.timed(device, 1, [] { return 0; });
  EXPECT_EQ(device.waits, 0);
  EXPECT_EQ(seconds.sums(), (std::array<double, 2>{3, 2}));
  EXPECT_EQ(device.waits, 3);
  EXPECT_EQ(seconds.sums(), (std::array<double, 2>{3, 2}));
  EXPECT_EQ(device.waits, 3) << "none is waited for twice";
  seconds.timed(device, 0, [] { return 0; });
  seconds.restart();
  EXPECT_EQ(seconds.sums(), (std::array<double, 2>{0, 0}));
  EXPECT_EQ(device.waits, 3);
}

}  // namespace
}  // namespace pyracast
