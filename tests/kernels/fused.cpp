// Operations that a device may do at once: against the same operations one after the other.
#include <gtest/gtest.h>

#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

std::vector<double> widened(const std::vector<float>& values) { return {values.begin(), values.end()}; }

TEST(ModulatedNorm, IsALayerNormAndAModulation) {
  const int64_t groups = 3, rows = 7, channels = 72;
  const auto x = random_values(groups * rows * channels, 1, 3), shift = random_values(groups * channels, 2),
             scale = random_values(groups * channels, 3);
  for (const auto& device : test_devices()) {
    const DeviceArray in(*device, {groups, rows, channels}, x), a(*device, {groups, channels}, shift), m(*device, {groups, channels}, scale);
    DeviceArray normal(*device, in.view.shape), expected(*device, in.view.shape), out(*device, in.view.shape);
    device->layer_norm(in.view, 1e-6f, nullptr, nullptr, normal.view);
    device->modulate(normal.view, a.view, m.view, expected.view);
    device->modulated_norm(in.view, 1e-6f, a.view, m.view, out.view);
    EXPECT_LT(largest_difference(out.values(), widened(expected.values())), 2e-6) << device->name();
  }
}

TEST(AddGated, IsAGateAndASum) {
  const int64_t groups = 3, rows = 7, channels = 50;
  const auto x = random_values(groups * rows * channels, 1), y = random_values(groups * rows * channels, 2),
             gate = random_values(groups * channels, 3);
  for (const auto& device : test_devices()) {
    const DeviceArray in(*device, {groups, rows, channels}, x), branch(*device, {groups, rows, channels}, y), g(*device, {groups, channels}, gate);
    DeviceArray gated(*device, in.view.shape), expected(*device, in.view.shape), out(*device, in.view.shape);
    device->gate(branch.view, g.view, gated.view);
    device->add(in.view, gated.view, expected.view);
    device->add_gated(in.view, branch.view, g.view, out.view);
    EXPECT_LT(largest_difference(out.values(), widened(expected.values())), 1e-6) << device->name();
  }
}

TEST(PackedAttention, IsTheAttentionOfNormalisedAndRotatedParts) {
  const int64_t batch = 2, tokens = 9, heads = 3;   // one sequence after the other
  for (const int64_t size : {24, 72})
    for (const bool normed : {false, true})
      for (const bool rotated : {false, true}) {
        const auto qkv = random_values(batch * tokens * 3 * heads * size, 1), q_norm = random_values(size, 2), k_norm = random_values(size, 3),
                   cosines = random_values(tokens * size / 2, 4), sines = random_values(tokens * size / 2, 5);
        for (const auto& device : test_devices()) {
          const Shape shape{batch, tokens, heads, size}, angles{tokens, size / 2};
          const DeviceArray packed(*device, {batch, tokens, 1, 3, heads, size}, qkv), qn(*device, {size}, q_norm), kn(*device, {size}, k_norm),
              c(*device, angles, cosines), s(*device, angles, sines);
          std::vector<std::unique_ptr<DeviceArray>> parts;
          for (int64_t part = 0; part < 3; ++part) {
            auto taken = std::make_unique<DeviceArray>(*device, shape), next = std::make_unique<DeviceArray>(*device, shape);
            device->copy(packed.view, part * heads * size, {3 * heads * size, 1}, taken->view, 0, {heads * size, 1}, {batch * tokens, heads * size});
            if (normed && part < 2) {
              device->rms_norm(taken->view, 1e-6f, part == 0 ? qn.view : kn.view, next->view);
              std::swap(taken, next);
            }
            if (rotated && part < 2) {
              device->rotate(taken->view, c.view, s.view, next->view);
              std::swap(taken, next);
            }
            parts.push_back(std::move(taken));
          }
          DeviceArray expected(*device, shape), out(*device, {batch, tokens, 1, heads, size});
          device->attention(parts[0]->view, parts[1]->view, parts[2]->view, 0.1f, nullptr, {}, expected.view);
          PackedAttention with;
          with.scale = 0.1f;
          if (normed) {
            with.q_norm = qn.view;
            with.k_norm = kn.view;
          }
          if (rotated) {
            with.cosines = c.view;
            with.sines = s.view;
          }
          device->packed_attention(packed.view, with, out.view);
          EXPECT_LT(largest_difference(out.values(), widened(expected.values())), 1e-5) << device->name() << ' ' << size << normed << rotated;
        }
      }
}

}  // namespace
}  // namespace pyracast
