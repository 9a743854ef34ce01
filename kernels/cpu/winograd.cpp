#include "kernels/cpu/winograd.hpp"

#include "kernels/cpu/matrix_product.hpp"

namespace pyracast::cpu {

namespace {

// A row of B^T takes one value and adds or subtracts another: d0 - d2, d1 + d2, d2 - d1, d1 - d3.
struct Taken {
  int first, second;
  float sign;
};
constexpr Taken patch_transform[4] = {{0, 2, -1}, {1, 2, 1}, {2, 1, -1}, {1, 3, -1}};
constexpr double kernel_transform[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};   // G
constexpr float output_transform[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};                               // A^T

constexpr int64_t most_columns = 512;          // of a task
constexpr int64_t most_products = 192 * 1024;  // of a task, in four matrices that lie in the second-level cache together
constexpr int64_t row_step = 48;               // whole tiles

const float zeros[most_columns] = {};   // what lies outside of the input; and no bias

/// The patches of an input, one for each 2x2 outputs: [batch, time, height / 2, width / 2].
struct Patches {
  const float* x;
  int64_t channels, size[3], out_size[3], tiles[2], count;
  const ConvolutionGeometry& geometry;

  Patches(View x, View out, const ConvolutionGeometry& geometry)
      : x(floats(x)), channels(x.shape[4]), size{x.shape[1], x.shape[2], x.shape[3]}, out_size{out.shape[1], out.shape[2], out.shape[3]},
        tiles{(out_size[1] + 1) / 2, (out_size[2] + 1) / 2}, count(out.shape[0] * out_size[0] * tiles[0] * tiles[1]), geometry(geometry) {}

  int64_t column(int64_t patch) const { return patch % tiles[1] * 2; }            // of its first output
  int64_t row(int64_t patch) const { return patch / tiles[1] % tiles[0] * 2; }
  int64_t frame(int64_t patch) const { return patch / (tiles[1] * tiles[0]); }    // of all entries'
};

/// Packs element (i, j) of the transformed patches; the depth runs over (time, channel).
struct PackTransformed {
  const Simd& simd;
  const Patches& patches;
  int64_t begin, end;
  Taken rows, columns;

  bool operator()(int64_t patch, int64_t k, int64_t count, float* a) const {
    bool any = false;
    for (int64_t r = 0; r < tile_rows; ++r) any |= pack(begin + patch + r, k, count, a + r * left_stride);
    return any;
  }

  /// Whether one of the values lies inside of the input.
  bool pack(int64_t patch, int64_t k, int64_t count, float* a) const {
    const Patches& p = patches;
    if (patch >= end) return std::memset(a, 0, size_t(count) * 4), false;
    const int64_t h = p.row(patch) - p.geometry.pad_before[1], w = p.column(patch) - p.geometry.pad_before[2];
    const int64_t t = p.frame(patch) % p.out_size[0] * p.geometry.stride[0] - p.geometry.pad_before[0], batch = p.frame(patch) / p.out_size[0];
    bool any = false;
    for (int64_t done = 0; done < count;) {   // a tap in time at a time
      const int64_t in_t = t + (k + done) / p.channels, channel = (k + done) % p.channels, length = std::min(count - done, p.channels - channel);
      const auto at = [&](int64_t dh, int64_t dw) {
        const int64_t in_h = h + dh, in_w = w + dw;
        const bool inside = in_t >= 0 && in_t < p.size[0] && in_h >= 0 && in_h < p.size[1] && in_w >= 0 && in_w < p.size[2];
        any |= inside;
        return inside ? p.x + (((batch * p.size[0] + in_t) * p.size[1] + in_h) * p.size[2] + in_w) * p.channels + channel : zeros;
      };
      simd.add_four(at(rows.first, columns.first), at(rows.first, columns.second), at(rows.second, columns.first), at(rows.second, columns.second),
                    columns.sign, rows.sign, length, a + done);
      done += length;
    }
    return any;
  }
};

}  // namespace

template <class Element>
std::vector<float> transformed_kernels(const Element* kernels, int64_t size, int64_t channels, int row, int column) {
  std::vector<float> out(size_t(size / 9));
  parallel_pieces(size / (9 * channels), 9 * channels, [&](int64_t begin, int64_t end) {
    for (int64_t kernel = begin; kernel < end; ++kernel)
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0;
        for (int i = 0; i < 3; ++i)
          for (int j = 0; j < 3; ++j)
            sum += kernel_transform[row][i] * kernel_transform[column][j] * double(float(kernels[((kernel * 3 + i) * 3 + j) * channels + c]));
        out[size_t(kernel * channels + c)] = float(sum);
      }
  });
  return out;
}

template std::vector<float> transformed_kernels(const float*, int64_t, int64_t, int, int);
template std::vector<float> transformed_kernels(const bfloat16*, int64_t, int64_t, int, int);

void convolution_by_winograd(const Simd& simd, View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry, View out,
                             const View* residual) {
  const Patches patches(x, out, geometry);
  const PackedFactors factors(weight.columns, weight.depth, {weight.dtype, weight.layout, x.shape[4]});
  const int64_t columns = factors.columns, depth = factors.depth;
  const int64_t column_step = std::min(most_columns, rounded_up(columns, panel_columns)), column_tasks = (columns + column_step - 1) / column_step;
  const int64_t step = std::min(row_block, most_products / 4 / column_step / row_step * row_step);
  const int64_t row_tasks = (patches.count + step - 1) / step;
  const auto factor = [&](int i, int j, int64_t column, int64_t count) {
    auto* panels = static_cast<std::byte*>(weight.data.get()) + (i * 4 + j) * factors.bytes_each() +
                   column / panel_columns * panel_bytes(depth, weight.dtype, weight.layout);
    return PackedWeights{{weight.data, panels}, weight.dtype, count, depth, 0, weight.layout};
  };
#pragma omp parallel for schedule(dynamic) if (row_tasks * column_tasks > 1 && worth_threads(16 * patches.count * columns * depth))
  for (int64_t task = 0; task < row_tasks * column_tasks; ++task) {
    float* const all_products = room_of_thread<float, PackTransformed>(most_products);
    float* const products[4]{all_products, all_products + most_products / 4, all_products + most_products / 2, all_products + most_products / 4 * 3};
    const int64_t begin = task / column_tasks * step, end = std::min(patches.count, begin + step);
    const int64_t column = task % column_tasks * column_step, count = std::min(columns - column, column_step);
    const float* added = bias ? floats(*bias) + column : zeros;
    // A row of the 4x4 products at a time: what it gives to each of the outputs is added to these at once.
    with_tiles(simd, weight.dtype, [&](const auto& tiles, const auto& panels_of) {
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) {
          const PackedWeights right = factor(i, j, column, count);
          multiply_block<Room::whole_tiles>(tiles, 0, end - begin, 0, count, depth,
                                            PackTransformed{simd, patches, begin, end, patch_transform[i], patch_transform[j]}, panels_of(right),
                                            products[j], column_step, [](auto...) {});
        }
        for (int64_t patch = begin; patch < end; ++patch)
          for (int64_t r = 0; r < 2; ++r) {
            const int64_t h = patches.row(patch) + r, w = patches.column(patch);
            const float sign = output_transform[r][i];
            if (sign == 0 || h >= patches.out_size[1]) continue;
            const int64_t of_left = ((patches.frame(patch) * patches.out_size[1] + h) * patches.out_size[2] + w) * columns + column;
            float* left = floats(out) + of_left;
            float* right = left + columns;
            const int64_t at = (patch - begin) * column_step;
            const bool first = i == r, last = i == r + 2, both = w + 1 < patches.out_size[2];   // of the three that make this row
            simd.add_three(first ? added : left, products[0] + at, products[1] + at, products[2] + at, 1, sign, count, left);
            if (both) simd.add_three(first ? added : right, products[1] + at, products[2] + at, products[3] + at, -1, sign, count, right);
            if (!residual || !last) continue;
            simd.finish(left, columns, both ? 2 : 1, count, {.residual = floats(*residual) + of_left});
          }
      }
    });
  }
}

}  // namespace pyracast::cpu
