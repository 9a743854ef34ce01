// Operations that a device does at once give what the operations that they stand for give.
#include <gtest/gtest.h>
#include <omp.h>

#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/cpu/peak.hpp"
#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

using Comparison = std::function<void(Backend& device, const DeviceArray& x, const DeviceArray& y, const DeviceArray& a, const DeviceArray& b)>;

/// x, something like it, and two of its groups' factors; of few rows that do not fill vectors, and of so many that a CPU writes past its caches.
void for_sizes(const Comparison& test) {
  constexpr int64_t groups = 3;
  for (const auto& device : test_devices())
    for (const auto& [rows, channels] : {std::pair<int64_t, int64_t>(7, 100), std::pair<int64_t, int64_t>(303, 1168)}) {
      SCOPED_TRACE(concat(device->name(), ", ", rows, " rows of ", channels));
      const Shape shape{groups, rows, channels}, of_groups{groups, channels};
      test(*device, {*device, shape, random_values(groups * rows * channels, 1, 3)}, {*device, shape, random_values(groups * rows * channels, 2)},
           {*device, of_groups, random_values(groups * channels, 3)}, {*device, of_groups, random_values(groups * channels, 4)});
    }
}

/// The bits are the same. One message, not one a value.
void expect_same(const DeviceArray& at_once, const DeviceArray& composed) { EXPECT_TRUE(at_once.values() == composed.values()); }

TEST(ComposedOperations, ModulatedNormIsLayerNormThenModulate) {
  for_sizes([](Backend& device, const DeviceArray& x, const DeviceArray&, const DeviceArray& shift, const DeviceArray& scale) {
    DeviceArray at_once(device, x.view.shape), composed(device, x.view.shape);
    device.modulated_norm(x.view, 1e-6f, shift.view, scale.view, at_once.view);
    device.Backend::modulated_norm(x.view, 1e-6f, shift.view, scale.view, composed.view);
    expect_same(at_once, composed);
  });
}

TEST(ComposedOperations, AddGatedIsGateThenAdd) {
  for_sizes([](Backend& device, const DeviceArray& x, const DeviceArray& branch, const DeviceArray& gate, const DeviceArray&) {
    DeviceArray at_once(device, x.view.shape), composed(device, x.view.shape);
    device.add_gated(x.view, branch.view, gate.view, at_once.view);
    device.Backend::add_gated(x.view, branch.view, gate.view, composed.view);
    expect_same(at_once, composed);
  });
}

TEST(ComposedOperations, PackedAttentionIsNormsThenRotationThenAttention) {
  for (const auto& device : test_devices())
    for (const auto& [length, size] : {std::pair<int64_t, int64_t>{1, 8}, {5, 24}, {15, 72}, {33, 72}, {300, 40}})
      for (const int64_t beside : {1, 3})
        for (const auto& [normalised, turned] : {std::pair{false, false}, {false, true}, {true, false}, {true, true}}) {
          const int64_t batch = 2, heads = 3;
          const DeviceArray qkv(*device, {batch, length, beside, 3, heads, size}, random_values(batch * length * beside * 3 * heads * size, 1)),
              norm(*device, {size}, random_values(size, 2)), cosines(*device, {length, size / 2}, random_values(length * size / 2, 3)),
              sines(*device, {length, size / 2}, random_values(length * size / 2, 4));
          PackedAttention with{.scale = 0.2f};
          if (normalised) with.q_norm = with.k_norm = norm.view;
          if (turned) with.cosines = cosines.view, with.sines = sines.view;
          DeviceArray at_once(*device, {batch, length, beside, heads, size}), composed(*device, at_once.view.shape);
          device->packed_attention(qkv.view, with, at_once.view);
          device->Backend::packed_attention(qkv.view, with, composed.view);
          EXPECT_EQ(at_once.values(), composed.values()) << device->name() << ' ' << length << " x " << size << ' ' << beside << normalised << turned;
        }
}

TEST(InstructionSets, WithFusedMultiplyAddGiveTheSameBitsInAttentionNormsAndActivations) {
  const auto devices = test_devices();
  if (devices.size() < 3 || !devices[2]->name().starts_with("cpu")) GTEST_SKIP() << "this processor has not both AVX2 and AVX-512";
  const int64_t batch = 2, length = 45, heads = 3, size = 72, tokens = batch * length * heads;
  const auto on = [&](Backend& device) {
    const DeviceArray qkv(device, {batch, length, 1, 3, heads, size}, random_values(3 * tokens * size, 1)),
        norm(device, {size}, random_values(size, 2)), cosines(device, {length, size / 2}, random_values(length * size / 2, 3)),
        shift(device, {batch, heads * size}, random_values(batch * heads * size, 4));
    PackedAttention with{.q_norm = norm.view, .k_norm = norm.view, .cosines = cosines.view, .sines = cosines.view, .scale = 0.1f};
    DeviceArray mixed(device, {batch, length, 1, heads, size}), normed(device, {batch, length, heads * size});
    device.packed_attention(qkv.view, with, mixed.view);
    View flat = mixed.view;
    flat.shape = normed.view.shape;
    device.modulated_norm(flat, 1e-6f, shift.view, shift.view, normed.view);
    device.activate(normed.view, Activation::gelu_tanh, normed.view);
    return normed.values();
  };
  EXPECT_EQ(on(*devices[1]), on(*devices[2]));
}

TEST(PeakLoop, AddsUpEveryMultiplyAddItIsTimedFor) {
  for (const auto& device : test_devices()) {
    const auto* processor = dynamic_cast<const CpuBackend*>(device.get());
    if (!processor) continue;
    const cpu::Simd& simd = processor->simd();
    for (const int64_t rounds : {0, 1, 1000, 1 << 20})
      EXPECT_EQ(simd.multiply_adds(rounds), float(rounds) * float(simd.fma_lanes)) << device->name();
  }
}

TEST(Bfloat16, WidensToTheSameNumbers) {
  for (const auto& device : test_devices()) {
    const auto* processor = dynamic_cast<const CpuBackend*>(device.get());
    if (!processor) continue;
    const auto x = random_values(77, 1, 100);
    const std::vector<bfloat16> stored(x.begin(), x.end());
    std::vector<float> wide(x.size()), expected;
    for (const bfloat16 value : stored) expected.push_back(float(value));
    processor->simd().widen(stored.data(), int64_t(stored.size()), wide.data());
    EXPECT_EQ(wide, expected) << device->name();
  }
}

}  // namespace
}  // namespace pyracast
