#include <gtest/gtest.h>

#include "base/stopwatch.hpp"
#include "devices.hpp"

namespace pyracast {
namespace {

TEST(Moments, LieBetweenTheOperationsTheyWereAskedFor) {
  for (const auto& device : test_devices()) {
    const DeviceArray x(*device, {1 << 18}, random_values(1 << 18, 1)), out(*device, {1 << 18});
    device->finish();
    const Stopwatch watch;
    const Moment first = device->moment();
    device->activate(x.view, Activation::gelu_tanh, out.view);
    const Moment second = device->moment();
    device->activate(x.view, Activation::gelu_tanh, out.view);
    device->activate(x.view, Activation::gelu_tanh, out.view);
    const Moment third = device->moment();
    const double all = device->seconds(first, third), until_now = watch.seconds();
    const double one = device->seconds(first, second), two = device->seconds(second, third);
    EXPECT_GT(one, 0) << device->name();
    EXPECT_GT(two, 0) << device->name();
    EXPECT_NEAR(all, one + two, 1e-5 + 1e-3 * all) << device->name();   // a GPU's are float32 milliseconds
    EXPECT_LE(all, 1.01 * until_now + 1e-5) << device->name();
  }
}

}  // namespace
}  // namespace pyracast
