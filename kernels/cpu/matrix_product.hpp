#pragma once
// One blocked matrix product serves linears, convolutions and attention. Along the depth every output element is one
// chain of fused multiply-adds in rising order, whatever the blocking: that is what makes rows independent.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/cpu/amx.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast::cpu {

inline constexpr int64_t row_block = 240;      // rows of a task: their block [240][depth_block] stays in the second-level cache

/// Columns of a task: few where there are few rows, so that all threads have some.
inline int64_t column_block(int64_t rows) { return rows > 4 * row_block ? 1152 : 384; }

inline int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// Floats of the right factor packed as panels [columns / 32][depth][32], zeros behind the last column.
inline int64_t packed_size(int64_t columns, int64_t depth) { return rounded_up(columns, panel_columns) * depth; }

/// Bytes of the integers of a block of so many values of depth in a panel of quantized weights: int16 [pairs][32][2].
inline int64_t quantized_values_bytes(int64_t count) { return rounded_up(count, 2) * panel_columns * 2; }
/// Bytes of such a block: the integers, and the float32 scales of its 32 columns behind.
inline int64_t quantized_block_bytes(int64_t count) { return quantized_values_bytes(count) + panel_columns * 4; }
/// Values of depth that have a scale together: fewer of what is transformed for Winograd's algorithm, which makes more of their errors.
inline int64_t quantized_depth(WeightLayout layout) { return layout == WeightLayout::winograd ? 128 : depth_block; }
/// Bytes of such a panel: its blocks one after the other.
inline int64_t quantized_panel_bytes(int64_t depth, WeightLayout layout) {
  const int64_t block = quantized_depth(layout), rest = depth % block;
  return depth / block * quantized_block_bytes(block) + (rest ? quantized_block_bytes(rest) : 0);
}

/// Bytes of a panel of a packed right factor: of float32 or bfloat16, (int16) quantized, or of AMX's tiles.
inline int64_t panel_bytes(int64_t depth, DType dtype, WeightLayout layout) {
  if (layout == WeightLayout::tiles) return amx_steps(depth) * amx_step * int64_t(size_of(DType::bfloat16));
  return dtype == DType::int16 ? quantized_panel_bytes(depth, layout) : depth * panel_columns * int64_t(size_of(dtype));
}

/// The factors that packed weights [columns, depth] are: one, as published; Winograd's 16 (winograd.hpp); or one for each tap in time, with the 9
/// taps in space as columns (tap_columns.hpp). They lie one behind the other.
struct PackedFactors {
  int64_t count = 1, columns, depth;
  PackedFactors(int64_t columns, int64_t depth, Packing packing) : columns(columns), depth(depth), packing_(packing) {
    switch (packing.layout) {
      case WeightLayout::published:
      case WeightLayout::tiles: break;
      case WeightLayout::winograd:
        count = 16;
        this->depth = depth / 9;
        break;
      case WeightLayout::tap_columns:
        count = depth / (9 * packing.channels);
        this->columns = 9 * columns;
        this->depth = packing.channels;
        break;
    }
  }

  int64_t bytes_each() const {
    return rounded_up(columns, panel_columns) / panel_columns * panel_bytes(depth, packing_.dtype, packing_.layout);
  }
  int64_t bytes() const { return count * bytes_each(); }

 private:
  Packing packing_;
};

/// Scratch that is kept between calls and begins at a multiple of a cache line, across which vectors and rows of tiles should not lie.
template <class T>
class CacheLines {
 public:
  T* room(int64_t elements) {
    constexpr size_t line = 64;
    if (values_.size() < size_t(elements) + line / sizeof(T)) values_.resize(size_t(elements) + line / sizeof(T));
    void* begin = values_.data();
    size_t bytes = values_.size() * sizeof(T);
    return static_cast<T*>(std::align(line, size_t(elements) * sizeof(T), begin, bytes));
  }

 private:
  std::vector<T> values_;
};

/// So many elements that this thread keeps for itself, `Use` by `Use`. They are taken when they are first asked for: of the program's threads few
/// multiply, and thread_local arrays are memory of all.
template <class T, class Use>
T* room_of_thread(int64_t elements) {
  thread_local CacheLines<T> kept;
  return kept.room(elements);
}

/// Whether an output has room for whole tiles: its rows for whole panels, and its last tile for tile_rows rows.
enum class Room { exact, whole_tiles };

/// Float32 panels that lie in the cache already.
struct NearPanels {
  const float* panels;
  int64_t depth;
  int64_t block() const { return depth_block; }
  const float* operator()(int64_t panel, int64_t k, int64_t) const { return panels + (panel * depth + k) * panel_columns; }
  std::span<const std::byte> stored(int64_t, int64_t, int64_t) const { return {}; }
};

/// Panels of weights; bfloat16 is widened a block at a time.
struct WeightPanels {
  const Simd& simd;
  const PackedWeights& weights;
  int64_t block() const { return depth_block; }
  /// Rows k.. of a panel as they lie in memory.
  std::span<const std::byte> stored(int64_t panel, int64_t k, int64_t count) const {
    const auto element = int64_t(size_of(weights.dtype));
    const auto* all = static_cast<const std::byte*>(weights.data.get());
    return {all + (panel * weights.depth + k) * panel_columns * element, size_t(count * panel_columns * element)};
  }
  const float* operator()(int64_t panel, int64_t k, int64_t count) const {
    const std::byte* values = stored(panel, k, count).data();
    if (weights.dtype == DType::float32) return reinterpret_cast<const float*>(values);
    float* const widened = room_of_thread<float, WeightPanels>(depth_block * panel_columns);
    simd.widen(reinterpret_cast<const bfloat16*>(values), count * panel_columns, widened);
    return widened;
  }
};

/// Panels of weights in block floating point.
struct QuantizedPanels {
  const PackedWeights& weights;
  int64_t block() const { return quantized_depth(weights.layout); }
  std::span<const std::byte> stored(int64_t panel, int64_t k, int64_t count) const {
    const auto* all = static_cast<const std::byte*>(weights.data.get());
    return {all + panel * quantized_panel_bytes(weights.depth, weights.layout) + k / block() * quantized_block_bytes(block()),
            size_t(quantized_block_bytes(count))};
  }
  const std::byte* operator()(int64_t panel, int64_t k, int64_t count) const { return stored(panel, k, count).data(); }
};

/// The scales of a block of quantized weights.
inline const float* quantized_scales(const std::byte* block, int64_t count) {
  return reinterpret_cast<const float*>(block + quantized_values_bytes(count));
}

/// The left factor of a task's block of rows in float32, a tile of rows of a block of depth at a time; there is room for those of so many blocks.
/// Where all of a tile's rows are zeros, pack() gives false.
struct FloatTiles {
  static constexpr int64_t tile_rows = cpu::tile_rows, depth_blocks = 1;
  const Simd& simd;
  float* all = room_of_thread<float, FloatTiles>(row_block * left_stride);
  float* rows(int64_t tile) const { return all + tile * tile_rows * left_stride; }
  template <class PackLeft>
  bool pack(const PackLeft& pack_left, int64_t tile, int64_t row, int64_t, int64_t k, int64_t count) const {
    return pack_left(row, k, count, rows(tile));
  }
  void multiply(int64_t tile, int64_t, int64_t depth, const float* right, int64_t columns, float* c, int64_t stride, bool accumulate) const {
    simd.tile(depth, rows(tile), right, columns, c, stride, accumulate);
  }
};

/// Rows that lie in the cache as a tile takes them, left_stride apart; of one block of depth at most.
struct NearTiles {
  static constexpr int64_t tile_rows = cpu::tile_rows, depth_blocks = 1;
  const Simd& simd;
  const float* rows;
  bool pack(std::nullptr_t, int64_t, int64_t, int64_t, int64_t, int64_t) const { return true; }
  void multiply(int64_t tile, int64_t, int64_t depth, const float* right, int64_t columns, float* c, int64_t stride, bool accumulate) const {
    simd.tile(depth, rows + tile * tile_rows * left_stride, right, columns, c, stride, accumulate);
  }
};

/// FloatTiles in block floating point: each row of a block of depth has a scale of its own. They take half the room, so that the second-level cache
/// holds those of more depth.
struct QuantizedTiles {
  static constexpr int64_t tile_rows = cpu::tile_rows, depth_blocks = 6;
  const Simd& simd;
  int16_t* all = room_of_thread<int16_t, QuantizedTiles>(depth_blocks * row_block * quantized_stride);
  float* all_scales = room_of_thread<float, QuantizedTiles>(depth_blocks * row_block);
  int16_t* rows(int64_t tile) const { return all + tile * tile_rows * quantized_stride; }
  float* scales(int64_t tile) const { return all_scales + tile * tile_rows; }
  template <class PackLeft>
  bool pack(const PackLeft& pack_left, int64_t tile, int64_t row, int64_t, int64_t k, int64_t count) const {
    alignas(64) float values[tile_rows * left_stride];
    if (!pack_left(row, k, count, values)) return false;
    for (int64_t r = 0; r < tile_rows; ++r) scales(tile)[r] = simd.quantize(values + r * left_stride, count, rows(tile) + r * quantized_stride);
    return true;
  }
  void multiply(int64_t tile, int64_t, int64_t depth, const std::byte* right, int64_t columns, float* c, int64_t stride, bool accumulate) const {
    simd.quantized_tile((depth + 1) / 2, rows(tile), scales(tile), reinterpret_cast<const int16_t*>(right), quantized_scales(right, depth), columns,
                        c, stride, accumulate);
  }
};

/// out[rows, columns] = left * right for one task's block of rows [row_begin, row_end) and columns.
/// `pack_left(row, k, count, a)` writes tile_rows rows of `count` values, left_stride apart, and gives false where all are
/// zero; `panel` gives the right factor, and the depth of its blocks; `finish(row, rows, column, count, c)` sees each finished piece of output rows.
template <Room room = Room::exact, class Tiles, class PackLeft, class Panel, class Finish>
void multiply_block(const Tiles& tiles, int64_t row_begin, int64_t row_end, int64_t column_begin, int64_t column_end,
                    int64_t depth, PackLeft pack_left, Panel panel, float* out, int64_t out_stride, Finish finish) {
  constexpr int64_t tile_rows = Tiles::tile_rows, tiles_of_block = row_block / tile_rows;
  alignas(64) float edge[tile_rows * panel_columns];
  bool any[Tiles::depth_blocks * tiles_of_block];
  const int64_t block = panel.block();
  const size_t tile_count = size_t((row_end - row_begin + tile_rows - 1) / tile_rows);
  for (int64_t first = 0; first < depth; first += Tiles::depth_blocks * block) {
    const int64_t end = std::min(depth, first + Tiles::depth_blocks * block);
    for (int64_t k = first, tiles_before = 0; k < end; k += block, tiles_before += tiles_of_block)
      for (int64_t r = row_begin, tile = tiles_before; r < row_end; r += tile_rows, ++tile)
        any[tile] = tiles.pack(pack_left, tile, r, std::min(tile_rows, row_end - r), k, std::min(block, end - k));
    for (int64_t n = column_begin; n < column_end; n += panel_columns) {
      const int64_t columns = std::min(panel_columns, column_end - n);
      for (int64_t k = first, tiles_before = 0; k < end; k += block, tiles_before += tiles_of_block) {
        const int64_t count = std::min(block, end - k);
        const bool last = k + count == depth;
        const auto* right = panel(n / panel_columns, k, count);
        // What of the right factor is next comes from far memory: each tile of this asks for some of it.
        std::span<const std::byte> next;
        if (k + block < end) next = panel.stored(n / panel_columns, k + block, std::min(block, end - k - block));
        else if (n + panel_columns < column_end) next = panel.stored(n / panel_columns + 1, first, std::min(block, end - first));
        const size_t asked = (next.size() / tile_count + 63) / 64 * 64;
        for (int64_t r = row_begin, tile = tiles_before; r < row_end; r += tile_rows, ++tile) {
          const int64_t rows = std::min(tile_rows, row_end - r);
          float* c = out + r * out_stride + n;
          const std::span<const std::byte> now = next.first(std::min(asked, next.size()));
          for (size_t line = 0; line < now.size(); line += 64) __builtin_prefetch(now.data() + line, 0, 2);
          next = next.subspan(now.size());
          if constexpr (requires { finish.ask_for(r, rows, n, columns); })
            if (last) finish.ask_for(r, rows, n, columns);
          if (!any[tile]) {   // zeros change no sum
            for (int64_t i = 0; i < rows && k == 0; ++i) std::fill_n(c + i * out_stride, columns, 0.f);
          } else if (room == Room::whole_tiles || (rows == tile_rows && columns == panel_columns)) {
            tiles.multiply(tile, rows, count, right, columns, c, out_stride, k > 0);
          } else {
            for (int64_t i = 0; i < rows && k > 0; ++i)
              std::memcpy(edge + i * panel_columns, c + i * out_stride, size_t(columns) * 4);
            tiles.multiply(tile, rows, count, right, columns, edge, panel_columns, k > 0);
            for (int64_t i = 0; i < rows; ++i)
              std::memcpy(c + i * out_stride, edge + i * panel_columns, size_t(columns) * 4);
          }
          if (last) finish(r, rows, n, columns, c);
        }
      }
    }
  }
}

/// body(tiles, panels_of): the left factor's tiles and, of a right factor of this type, its panels, as this processor multiplies them.
template <class Body>
void with_tiles(const Simd& simd, DType dtype, Body body) {
  const auto quantized = [](const PackedWeights& right) { return QuantizedPanels{right}; };
  if (dtype == DType::int16) body(QuantizedTiles{simd}, quantized);
  else body(FloatTiles{simd}, [&](const PackedWeights& right) { return WeightPanels{simd, right}; });
}

/// Packs rows of a row-major matrix with this row stride.
struct PackRows {
  const float* x;
  int64_t rows, stride;
  bool operator()(int64_t row, int64_t k, int64_t count, float* a) const {
    for (int64_t i = 0; i < tile_rows; ++i)
      if (row + i < rows) std::memcpy(a + i * left_stride, x + (row + i) * stride + k, size_t(count) * 4);
      else std::memset(a + i * left_stride, 0, size_t(count) * 4);
    return true;
  }
};

/// Bias, then activation or gate, then what is added, on finished pieces of rows.
struct Epilogue {
  const Simd& simd;
  const float* bias;   // may be null
  Activation activation;
  int64_t columns;
  const float* residual = nullptr;   // [rows, columns], or null
  const float* gate = nullptr;       // of what is added to `residual`: [groups, columns], or null
  int64_t rows_of_group = 0;
  /// What these pieces are added to comes from far memory: it is asked for while they are multiplied.
  void ask_for(int64_t row, int64_t rows, int64_t column, int64_t count) const {
    if (!residual) return;
    for (int64_t r = row; r < row + rows; ++r)
      for (int64_t n = 0; n < count; n += 16) __builtin_prefetch(residual + r * columns + column + n);
  }
  /// `c`: rows as far apart as those of the output.
  void operator()(int64_t row, int64_t rows, int64_t column, int64_t count, float* c) const {
    if (!bias && !residual && activation == Activation::none) return;
    for_gates(row, rows, column,
              [&](int64_t r, int64_t together, const Finish& with) { simd.finish(c + r * columns, columns, together, count, with); });
  }
  /// Of `rows` rows of sums, 32 floats apart; writes them to `out` [all rows, columns].
  void operator()(const Amx& amx, int64_t row, int64_t column, int64_t rows, int64_t count, float* sums, float* out, bool past_caches) const {
    const float* added = bias ? bias + column : nullptr;
    const int64_t at = row * columns + column;
    past_caches = past_caches && count == panel_columns;
    if (activation == Activation::gelu_tanh) return amx.store_gelu(sums, rows, count, added, out + at, columns, past_caches);
    if (activation != Activation::none) {
      simd.finish(sums, panel_columns, rows, count, {.bias = added, .activation = activation});
      added = nullptr;
    }
    for_gates(row, rows, column, [&](int64_t r, int64_t together, Finish with) {
      with.bias = added;
      amx.store(sums + r * panel_columns, together, count, with, out + at + r * columns, columns, past_caches);
    });
  }

 private:
  /// act(r, n, how to finish them) for rows r to r + n - 1 behind `row`, from this column on, those of one gate after those of another.
  template <class Act>
  void for_gates(int64_t row, int64_t rows, int64_t column, Act act) const {
    Finish with{.bias = bias ? bias + column : nullptr, .activation = activation};
    for (int64_t r = 0; r < rows;) {
      const int64_t together = gate ? std::min(rows - r, rows_of_group - (row + r) % rows_of_group) : rows;
      if (gate) with.gate = gate + (row + r) / rows_of_group * columns + column;
      if (residual) with.residual = residual + (row + r) * columns + column;
      act(r, together, with);
      r += together;
    }
  }
};

/// The floats of what may not be there.
inline const float* floats_or_null(const View* x) { return x ? floats(*x) : nullptr; }

}  // namespace pyracast::cpu
