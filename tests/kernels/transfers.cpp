#include <gtest/gtest.h>

#include <future>

#include "devices.hpp"

namespace pyracast {
namespace {

constexpr int64_t piece = 1 << 20;   // as many numbers as go through a GPU's pinned memory at once

TEST(Transfers, KeepEveryByteOfAnySize) {
  for (const auto& device : test_devices())
    for (const int64_t size : {int64_t(0), int64_t(1), int64_t(1000), piece - 1, piece, piece + 1, 3 * piece + 7}) {
      const std::vector<float> values = random_values(size, 2);
      EXPECT_EQ(DeviceArray(*device, {size}, values).values(), values) << device->name() << ", " << size;
    }
}

TEST(Transfers, LetTheHostsMemoryBeUsedAgainAtOnce) {
  for (const auto& device : test_devices()) {
    std::vector<DeviceArray> sent;
    std::vector<float> values(1000);
    for (int i = 0; i < 100; ++i) {
      std::fill(values.begin(), values.end(), float(i));
      sent.emplace_back(*device, Shape{1000}, values);
    }
    for (int i = 0; i < 100; ++i) EXPECT_EQ(sent[size_t(i)].values(), std::vector<float>(1000, float(i))) << device->name();
  }
}

TEST(Transfers, ForLaterKeepEveryByteInAnyThread) {
  for (const auto& device : test_devices()) {
    std::vector<std::vector<float>> values;
    std::vector<DeviceArray> sent;
    std::vector<std::future<std::vector<float>>> found;
    for (const int64_t size : {int64_t(0), int64_t(1), int64_t(1000), piece - 1, piece, piece + 1, 3 * piece + 7}) {
      values.push_back(random_values(size, unsigned(size)));
      sent.emplace_back(*device, Shape{size}, values.back());
      found.push_back(std::async(std::launch::async, [size, later = device->download_later(sent.back().view)] {
        std::vector<float> here(static_cast<size_t>(size));
        later(here.data());
        return here;
      }));
    }
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(found[i].get(), values[i]) << device->name() << ", " << values[i].size();
  }
}

}  // namespace
}  // namespace pyracast
