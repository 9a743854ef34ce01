#include <gtest/gtest.h>

#include <cstring>
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

TEST(CopiesBeside, TakeTurnsWithTheSameMemoryOfTheHost) {
  for (const auto& device : test_devices())
    for (const int64_t size : {int64_t(0), int64_t(1), piece / 64, piece + 1}) {
      const std::shared_ptr<void> host = device->allocate_host(size_t(size) * sizeof(float));
      std::vector<DeviceArray> back;
      Moment copied;
      for (unsigned i = 0; i < 4; ++i) {
        DeviceArray x(*device, {size}, random_values(size, i));
        device->follow(device->begin_download(x.view, host.get()));
        device->fill(x.view, -1);   // behind the copy
        back.emplace_back(*device, Shape{size});
        copied = device->begin_upload(host.get(), back.back().view);
      }
      device->follow(copied);
      for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(back[i].values(), random_values(size, i)) << device->name() << ", " << size;
    }
}

TEST(CopiesBeside, BeginBehindTheOperationsBeforeThemAndAreThereForTheHostAfterFinish) {
  for (const auto& device : test_devices()) {
    constexpr int64_t size = 100000;
    const std::shared_ptr<void> host = device->allocate_host(size * sizeof(bfloat16));
    const DeviceArray x(*device, {size}, random_values(size, 7)), narrow(*device, {size}, DType::bfloat16);
    device->convert(x.view, narrow.view);
    device->follow(device->begin_download(narrow.view, host.get()));
    device->finish();
    const auto* const values = static_cast<const bfloat16*>(host.get());
    EXPECT_EQ(std::vector<float>(values, values + size), rounded_to_bfloat16(random_values(size, 7))) << device->name();
  }
}

// What is used again may be in use by the device still: who takes it waits.
TEST(HostMemory, OfAnySizeIsWritable) {
  for (const auto& device : test_devices())
    for (const size_t bytes : {size_t(1), size_t(5) << 20, size_t(9) << 20, size_t(5) << 20}) {
      const std::shared_ptr<void> first = device->allocate_host(bytes), second = device->allocate_host(bytes);
      std::memset(first.get(), 1, bytes);
      std::memset(second.get(), 2, bytes);
      EXPECT_EQ(static_cast<const char*>(first.get())[bytes - 1], 1) << device->name() << ", " << bytes;
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
