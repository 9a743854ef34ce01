// Strided copies on every device, and how the GPU's are planned.
#include <gtest/gtest.h>

#include <numeric>

#include "kernels/cuda/copy_plan.hpp"
#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

struct StridedCopy {
  int64_t in_size, in_offset;
  Shape in_strides;
  int64_t out_size, out_offset;
  Shape out_strides, shape;
};

const StridedCopy copies[] = {
    {120, 0, {30, 6, 1}, 120, 0, {30, 6, 1}, {4, 5, 6}},                                     // all as it lies
    {120, 0, {1, 30, 6}, 120, 0, {20, 5, 1}, {6, 4, 5}},                                     // a permutation
    {120, 3, {30, 6, 1}, 24, 0, {6, 2, 1}, {4, 3, 2}},                                       // a slice
    {24, 0, {6, 2, 1}, 120, 31, {30, 6, 1}, {3, 3, 2}},                                      // into a larger one
    {12, 0, {4, 0, 1}, 96, 0, {32, 4, 1}, {3, 8, 4}},                                        // repeated
    {48, 0, {24, 0, 4, 0, 1}, 192, 0, {96, 24, 8, 4, 1}, {2, 2, 3, 2, 4}},                   // upsampled
    {32, 0, {16, 8, 4, 2, 1}, 32, 0, {1, 2, 4, 8, 16}, {2, 2, 2, 2, 2}},                     // all axes turned round
    {7, 2, {1}, 9, 4, {1}, {5}},
    {7, 6, {1}, 9, 8, {1}, {1}},
    {1000, 0, {100, 1, 10}, 1000, 0, {100, 10, 1}, {10, 10, 10}},
};

/// One element after the other, as the strides say.
template <class Element>
std::vector<Element> by_definition(const StridedCopy& c, const std::vector<Element>& in, std::vector<Element> out) {
  const int64_t elements = std::accumulate(c.shape.begin(), c.shape.end(), int64_t(1), std::multiplies<>());
  for (int64_t i = 0; i < elements; ++i) {
    int64_t rest = i, from = c.in_offset, to = c.out_offset;
    for (size_t axis = c.shape.size(); axis-- > 0; rest /= c.shape[axis]) {
      from += rest % c.shape[axis] * c.in_strides[axis];
      to += rest % c.shape[axis] * c.out_strides[axis];
    }
    out[size_t(to)] = in[size_t(from)];
  }
  return out;
}

template <class Element>
void expect_copies(Backend& backend, DType dtype) {
  for (const StridedCopy& c : copies) {
    std::vector<Element> in(size_t(c.in_size)), before(size_t(c.out_size), Element(99));
    for (size_t i = 0; i < in.size(); ++i) in[i] = Element(i % 97);
    const auto in_memory = backend.allocate(in.size() * sizeof(Element)), out_memory = backend.allocate(before.size() * sizeof(Element));
    const View from{in_memory.get(), dtype, {c.in_size}}, to{out_memory.get(), dtype, {c.out_size}};
    backend.upload(in.data(), from);
    backend.upload(before.data(), to);
    backend.copy(from, c.in_offset, c.in_strides, to, c.out_offset, c.out_strides, c.shape);
    std::vector<Element> found(before.size());
    backend.download(to, found.data());
    EXPECT_EQ(found, by_definition(c, in, before)) << concat(backend.name(), ' ', name_of(dtype), ' ', c.shape);
  }
}

TEST(Copy, MovesEachElementFromAndToWhereItsStridesSay) {
  for (const auto& device : test_devices()) {
    expect_copies<uint8_t>(*device, DType::uint8);
    expect_copies<uint16_t>(*device, DType::bfloat16);
    expect_copies<float>(*device, DType::float32);
    expect_copies<int64_t>(*device, DType::int64);
  }
}

TEST(Fill, WritesEveryElement) {
  for (const auto& device : test_devices()) {
    DeviceArray out(*device, {1000});
    device->fill(out.view, 2.5f);
    EXPECT_EQ(out.values(), std::vector<float>(1000, 2.5f)) << device->name();
  }
}

TEST(CopyPlan, JoinsAxesThatLieBehindOneAnother) {
  const auto plan = cuda::plan_copy(4, 0, {60, 20, 5, 1}, 0, {60, 20, 5, 1}, {2, 3, 4, 5});
  EXPECT_TRUE(plan.contiguous());
  EXPECT_EQ(plan.elements * plan.element, 2 * 3 * 4 * 5 * 4);
  const auto part = cuda::plan_copy(4, 0, {600, 20, 5, 1}, 0, {60, 20, 5, 1}, {2, 3, 4, 5});
  EXPECT_EQ(part.axes, 2);
}

TEST(CopyPlan, TakesSixteenBytesAtATimeWhereAllOffsetsAndStridesAllow) {
  EXPECT_EQ(cuda::plan_copy(4, 8, {72, 1}, 0, {36, 1}, {5, 36}).element, 16);
  EXPECT_EQ(cuda::plan_copy(4, 8, {72, 1}, 2, {36, 1}, {5, 36}).element, 8);     // out begins at byte 8
  EXPECT_EQ(cuda::plan_copy(4, 8, {71, 1}, 0, {36, 1}, {5, 36}).element, 4);     // odd rows
  EXPECT_EQ(cuda::plan_copy(2, 0, {24, 1}, 0, {24 * 7, 1}, {5, 24}).element, 16);
  EXPECT_EQ(cuda::plan_copy(4, 0, {1, 36}, 0, {36, 1}, {36, 36}).element, 4);    // a transpose
}

TEST(CopyPlan, NamesTheSamePlacesInBothWidthsOfIndex) {
  const auto plan = cuda::plan_copy(4, 3, {1, 300, 60}, 1, {2000, 50, 7}, {6, 4, 5});
  for (int64_t i = 0; i < plan.elements; ++i) {
    const auto narrow = plan.place(uint32_t(i)), wide = plan.place(i);
    EXPECT_EQ(narrow.in, wide.in);
    EXPECT_EQ(narrow.out, wide.out);
    EXPECT_LE(std::max(wide.in, wide.out), plan.farthest());
  }
  const auto far = cuda::plan_copy(4, int64_t(5) << 32, {int64_t(1) << 33, 1}, 0, {3, 1}, {2, 3});   // beyond 32 bits
  EXPECT_EQ(far.place(int64_t(4)).in, (int64_t(5) << 32) + (int64_t(1) << 33) + 1);
  EXPECT_GT(far.farthest(), int64_t(1) << 33);
}

}  // namespace
}  // namespace pyracast
