#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>

#include "devices.hpp"

namespace pyracast {
namespace {

TEST(AllFinite, SeesOneThatIsNotWhereverItLies) {
  for (const auto& device : test_devices())
    for (const int64_t size : {0, 1, 257, 100'000}) {
      std::vector<float> values = random_values(size, 1, 1e38f);
      for (float& value : values) value = std::clamp(value, -FLT_MAX, FLT_MAX);
      EXPECT_TRUE(device->all_finite(DeviceArray(*device, {size}, values).view)()) << device->name() << ", " << size;
      for (const float bad : {NAN, INFINITY, -INFINITY})
        for (const int64_t at : {int64_t(0), size / 2, size - 1}) {
          if (size == 0) continue;
          std::vector<float> changed = values;
          changed[size_t(at)] = bad;
          EXPECT_FALSE(device->all_finite(DeviceArray(*device, {size}, changed).view)()) << device->name() << ", " << at << " of " << size;
        }
    }
}

TEST(AllFinite, AnswersOfTheMomentItWasAsked) {
  for (const auto& device : test_devices()) {
    const DeviceArray x(*device, {100}, std::vector<float>(100, 1));
    const auto first = device->all_finite(x.view);
    device->fill(x.view, NAN);
    const auto second = device->all_finite(x.view);
    device->fill(x.view, 2);
    const auto third = device->all_finite(x.view);
    EXPECT_TRUE(third()) << device->name();
    EXPECT_FALSE(second()) << device->name();
    EXPECT_TRUE(first()) << device->name();
    EXPECT_TRUE(first()) << device->name();
  }
}

}  // namespace
}  // namespace pyracast
