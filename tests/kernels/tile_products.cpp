// Products of bfloat16 in AMX's tiles: on the processor's where it has them, and everywhere on tiles in memory (amx_in_memory.cpp).
#include <gtest/gtest.h>
#include <omp.h>

#include "kernels/cpu/amx.hpp"
#include "kernels/cpu/cpu_backend.hpp"
#include "kernels/planning_backend.hpp"
#include "tests/kernels/gated_linear.hpp"

namespace pyracast {

namespace cpu {
/// AMX's code on tiles in memory.
const Amx& amx_in_memory();
}  // namespace cpu

namespace {

const Packing in_tiles(DType::bfloat16, WeightLayout::tiles);

std::shared_ptr<Backend> on_tiles_in_memory() {
  static const cpu::Simd table = [] {
    cpu::Simd all = dynamic_cast<const CpuBackend&>(*make_cpu_backend()).simd();
    all.name = "tiles-in-memory";
    all.amx = &cpu::amx_in_memory();
    return all;
  }();
  return std::make_shared<CpuBackend>(table);
}

/// A back end on the processor's tiles, or null.
std::shared_ptr<Backend> on_amx() {
  try {
    return make_cpu_backend(CpuIsa::amx);
  } catch (const Error& error) {
    static const bool told = std::printf("not on AMX: %s\n", error.what()) > 0;
    (void)told;
    return nullptr;
  }
}

std::vector<std::shared_ptr<Backend>> tile_devices() {
  std::vector<std::shared_ptr<Backend>> devices{on_tiles_in_memory()};
  if (auto amx = on_amx()) devices.push_back(amx);
  return devices;
}

double relative_error(const std::vector<float>& found, const std::vector<float>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    error += std::pow(double(found[i]) - expected[i], 2);
    norm += std::pow(double(expected[i]), 2);
  }
  return std::sqrt(error / norm);
}

struct TileProduct {
  int64_t rows, depth, columns;
  std::vector<float> x = random_values(rows * depth, 1), w = random_values(columns * depth, 2, 1 / std::sqrt(float(depth)));
  std::vector<float> bias = random_values(columns, 3), residual = random_values(rows * columns, 4);

  std::vector<float> on(Backend& device, Packing as, Activation activation = Activation::none, bool adds = false, int64_t first = 0,
                        int64_t count = -1) const {
    const int64_t taken = count < 0 ? rows : count;
    const PackedWeights weight = device.pack(DeviceArray(device, {columns, depth}, w).view, as);
    const DeviceArray in(device, {taken, depth}, {x.begin() + first * depth, x.begin() + (first + taken) * depth}), added(device, {columns}, bias);
    const DeviceArray beside(device, {taken, columns}, {residual.begin() + first * columns, residual.begin() + (first + taken) * columns});
    DeviceArray out(device, {taken, columns});
    device.linear(in.view, weight, adds ? &added.view : nullptr, activation, out.view,
                  adds && activation == Activation::none ? &beside.view : nullptr);
    return out.values();
  }

  TileProduct rounded() const {
    TileProduct all = *this;
    all.x = rounded_to_bfloat16(x);
    all.w = rounded_to_bfloat16(w);
    return all;
  }
};

// Deep ones come in parts, wide ones in several tasks, and the last one is written past the caches.
const std::tuple<int64_t, int64_t, int64_t> tile_product_sizes[] = {{1, 1, 1}, {5, 17, 33}, {33, 32, 64}, {260, 577, 40},
                                                                    {70, 1153, 31}, {40, 2400, 1200}, {300, 96, 4096}};

TEST(TileProducts, AreThoseOfTheRoundedFactors) {
  for (const auto& device : tile_devices())
    for (const auto& [rows, depth, columns] : tile_product_sizes) {
      if (rows * columns > 1 << 19 && device->name() == "cpu-tiles-in-memory") continue;   // nothing there is written past the caches
      for (const bool adds : {false, true})
        for (const Activation activation : {Activation::none, Activation::gelu_tanh, Activation::silu}) {
          if (activation != Activation::none && rows * depth * columns > 1 << 24) continue;
          const TileProduct product{rows, depth, columns};
          const auto expected = product.rounded().on(*make_cpu_backend(CpuIsa::portable), DType::float32, activation, adds);
          EXPECT_LT(relative_error(product.on(*device, in_tiles, activation, adds), expected), 4e-6)
              << device->name() << ' ' << rows << ' ' << depth << ' ' << columns << (adds ? ", added to" : "") << ", activation " << int(activation);
        }
    }
}

// What the published models' bfloat16 errs by, which rounds the outputs as well.
TEST(TileProducts, ErrByLessThanBfloat16Does) {
  const TileProduct product{100, 1152, 96};
  const auto exact = product.on(*make_cpu_backend(CpuIsa::portable), DType::float32);
  for (const auto& device : tile_devices()) EXPECT_LT(relative_error(product.on(*device, in_tiles), exact), 2.5e-3) << device->name();
}

TEST(TileProducts, OfTheProcessorAreTheBitsOfThoseInMemory) {
  const auto amx = on_amx();
  if (!amx) GTEST_SKIP() << "this processor or system has no AMX";
  const auto memory = on_tiles_in_memory();
  for (const auto& [rows, depth, columns] : tile_product_sizes) {
    const TileProduct product{rows, depth, columns};
    EXPECT_EQ(product.on(*amx, in_tiles, Activation::none, true), product.on(*memory, in_tiles, Activation::none, true))
        << rows << ' ' << depth << ' ' << columns;
  }
}

TEST(TileProducts, AreGatedOnTheWayToWhatTheyAreAddedTo) {
  for (const auto& device : tile_devices())
    for (const auto& [s, groups] : gated_linears) {
      const auto [found, expected] = gated_linear_of(*device, s, groups, DType::float32, in_tiles);
      EXPECT_EQ(found, expected) << device->name() << ' ' << s.rows;
    }
}

TEST(TileProducts, GiveARowTheSameBitsWhateverItsNeighboursAndThreads) {
  for (const auto& device : tile_devices()) {
    const TileProduct product{300, 1200, 70};
    omp_set_num_threads(1);
    const std::vector<float> whole = product.on(*device, in_tiles, Activation::gelu_tanh, true);
    for (const int threads : {1, 2, 3})
      for (const int64_t count : {1, 31, 33, 257})
        for (const int64_t first : {0, 1, 40}) {
          omp_set_num_threads(threads);
          const std::vector<float> expected(whole.begin() + first * 70, whole.begin() + (first + count) * 70);
          EXPECT_EQ(product.on(*device, in_tiles, Activation::gelu_tanh, true, first, count), expected)
              << device->name() << ' ' << threads << ' ' << first << ' ' << count;
        }
    omp_set_num_threads(omp_get_num_procs());
  }
}

TEST(TileProducts, GiveNoNumberForNoneAndLeaveOtherRowsAlone) {
  for (const auto& device : tile_devices()) {
    TileProduct product{40, 250, 35};
    const std::vector<float> whole = product.on(*device, in_tiles);
    product.x[250 + 10] = NAN;
    product.x[500 + 240] = INFINITY;
    const std::vector<float> found = product.on(*device, in_tiles);
    for (int64_t r = 0; r < 40; ++r)
      for (int64_t n = 0; n < 35; ++n) {
        const float value = found[size_t(r * 35 + n)];
        if (r == 1 || r == 2) EXPECT_FALSE(std::isfinite(value)) << device->name() << ' ' << r;
        else EXPECT_EQ(value, whole[size_t(r * 35 + n)]) << device->name() << ' ' << r;
      }
  }
}

TEST(TileProducts, TakeTwoBytesAWeightAsPlanned) {
  PlanningBackend plan(PlannedDevice::cpu);
  for (const auto& [columns, depth] : {std::pair<int64_t, int64_t>{1, 1}, {33, 31}, {1152, 4608}}) {
    const auto device = on_tiles_in_memory();
    const DeviceArray weight(*device, {columns, depth});
    const PackedWeights packed = device->pack(weight.view, in_tiles);
    EXPECT_EQ(packed.bytes, size_t((columns + 31) / 32 * 32 * ((depth + 31) / 32 * 32) * 2));
    EXPECT_EQ(plan.pack(weight.view, in_tiles).bytes, packed.bytes);
  }
}

TEST(TileProducts, MultiplyAConvolutionsPatches) {
  const ConvolutionGeometry flat{.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}};
  const ConvolutionGeometry causal{.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}};
  const ConvolutionGeometry half{.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .pad_after = {0, 1, 1}};
  const auto reference = make_cpu_backend(CpuIsa::portable);
  for (const auto& device : tile_devices())
    for (const ConvolutionGeometry& geometry : {flat, causal, half})
      for (const auto& [channels, columns] : {std::pair<int64_t, int64_t>{50, 37}, {4, 40}, {200, 32}, {160, 33}}) {
        const Shape in_shape{1, 3, 9, 8, channels};
        Shape out_shape{1, 0, 0, 0, columns};
        for (int axis = 0; axis < 3; ++axis) out_shape[size_t(axis + 1)] = geometry.output_size(axis, in_shape[size_t(axis + 1)]);
        const int64_t taps = geometry.kernel[0] * 9;
        const auto x = random_values(3 * 9 * 8 * channels, 1), w = random_values(columns * taps * channels, 2, 1 / std::sqrt(float(taps * channels)));
        const auto run = [&](Backend& on, const std::vector<float>& of_x, const std::vector<float>& of_w, Packing as) {
          const DeviceArray in(on, in_shape, of_x), weight(on, {columns, taps * channels}, of_w);
          DeviceArray out(on, out_shape);
          on.convolution(in.view, on.pack(weight.view, as), nullptr, geometry, out.view);
          return out.values();
        };
        EXPECT_EQ(device->packing(geometry, channels, columns, in_tiles).layout, WeightLayout::tiles);
        EXPECT_LT(relative_error(run(*device, x, w, in_tiles), run(*reference, rounded_to_bfloat16(x), rounded_to_bfloat16(w), DType::float32)), 4e-6)
            << device->name() << ' ' << channels << ' ' << columns;
      }
}

// A decoder's last one would leave most of a tile idle.
TEST(TileProducts, LeaveConvolutionsToFewChannelsToBlockFloats) {
  const ConvolutionGeometry flat{.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}};
  const Packing chosen = on_tiles_in_memory()->packing(flat, 128, 3, in_tiles);
  EXPECT_EQ(chosen.dtype, DType::int16);
  EXPECT_EQ(chosen.layout, WeightLayout::tap_columns);
}

/// Queries, keys and values of some sizes; what bfloat16 changes of their attention.
struct Attended {
  int64_t batch, queries, keys, heads, size;
  std::vector<float> q = random_values(batch * queries * heads * size, 5), k = random_values(batch * keys * heads * size, 6),
                     v = random_values(batch * keys * heads * size, 7), bias = random_values(batch * heads * queries * keys, 8, 3);

  std::vector<float> on(Backend& device, bool with_bias, std::vector<KeyRange> ranges = {}) const {
    const bool together = !ranges.empty();
    const Shape of_keys = together ? Shape{1, batch * keys, heads, size} : Shape{batch, keys, heads, size};
    const DeviceArray in_q(device, {batch, queries, heads, size}, q), in_k(device, of_keys, k), in_v(device, of_keys, v);
    const DeviceArray added(device, {batch, heads, queries, keys}, bias);
    DeviceArray out(device, {batch, queries, heads, size});
    const AttentionBias all{added.view, heads * queries * keys, queries * keys, keys};
    device.attention(in_q.view, in_k.view, in_v.view, 1 / std::sqrt(float(size)), with_bias ? &all : nullptr, ranges, out.view);
    return out.values();
  }
};

TEST(TileProducts, AttendAsFloat32DoesButForTheRounding) {
  const auto reference = make_cpu_backend(CpuIsa::portable);
  for (const auto& device : tile_devices())
    for (const Attended& sizes :
         {Attended{1, 1, 1, 1, 8}, Attended{2, 33, 31, 3, 72}, Attended{1, 100, 300, 8, 72}, Attended{3, 5, 65, 16, 40}, Attended{1, 40, 33, 4, 5}})
      for (const bool with_bias : {false, true})
        EXPECT_LT(relative_error(sizes.on(*device, with_bias), sizes.on(*reference, with_bias)), 8e-3)
            << device->name() << ' ' << sizes.queries << ' ' << sizes.keys << ' ' << sizes.heads << ' ' << sizes.size
            << (with_bias ? " with bias" : "");
}

TEST(TileProducts, AttendToTheKeysOfARangeOnly) {
  const auto reference = make_cpu_backend(CpuIsa::portable);
  const Attended sizes{2, 50, 40, 4, 72};
  const std::vector<KeyRange> ranges{{3, 40}, {41, 80}};
  for (const auto& device : tile_devices())
    EXPECT_LT(relative_error(sizes.on(*device, false, ranges), sizes.on(*reference, false, ranges)), 8e-3) << device->name();
}

// A mask's huge negative bias, and scores far apart: no weight, and no overflow.
TEST(TileProducts, GiveNoWeightToWhatIsMasked) {
  for (const auto& device : tile_devices()) {
    Attended sizes{1, 3, 40, 1, 16};
    for (int64_t i = 0; i < 3 * 40; ++i) sizes.bias[size_t(i)] = i % 40 == 7 ? 80.f : -1e9f;
    const std::vector<float> found = sizes.on(*device, true);
    for (int64_t r = 0; r < 3; ++r)
      for (int64_t d = 0; d < 16; ++d) EXPECT_EQ(found[size_t(r * 16 + d)], round_to_bfloat16(sizes.v[size_t(7 * 16 + d)])) << device->name();
  }
}

TEST(TileProducts, AttendWithinPackedSequences) {
  const auto reference = make_cpu_backend(CpuIsa::portable);
  for (const auto& device : tile_devices())
    for (const auto& [batch, length, beside, heads, size] :
         {std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t>{2, 15, 7, 4, 72}, {2, 100, 1, 8, 72}, {1, 70, 2, 3, 16}}) {
      const auto values = random_values(batch * length * beside * 3 * heads * size, 9), weight = random_values(size, 10);
      std::vector<float> cosines, sines;
      for (int64_t i = 0; i < length * size / 2; ++i) {
        cosines.push_back(std::cos(0.1f * float(i)));
        sines.push_back(std::sin(0.1f * float(i)));
      }
      const auto run = [&](Backend& on) {
        const DeviceArray qkv(on, {batch, length, beside, 3, heads, size}, values), norm(on, {size}, weight);
        const DeviceArray of_cosines(on, {length, size / 2}, cosines), of_sines(on, {length, size / 2}, sines);
        DeviceArray out(on, {batch, length, beside, heads, size});
        PackedAttention with;
        with.scale = 1 / std::sqrt(float(size));
        with.epsilon = 1e-6f;
        with.q_norm = with.k_norm = norm.view;
        with.cosines = of_cosines.view;
        with.sines = of_sines.view;
        on.packed_attention(qkv.view, with, out.view);
        return out.values();
      };
      EXPECT_LT(relative_error(run(*device), run(*reference)), 1e-2) << device->name() << ' ' << length << ' ' << heads;
    }
}

}  // namespace
}  // namespace pyracast
