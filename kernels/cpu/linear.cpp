#include "base/error.hpp"
#include "kernels/cpu/product.hpp"
#include "kernels/cpu/tap_columns.hpp"
#include "kernels/cpu/winograd.hpp"

namespace pyracast {

namespace {

template <class Element>
void pack_panels(const Element* weight, int64_t columns, int64_t depth, Element* panels) {
  using cpu::panel_columns;
  cpu::parallel_pieces((columns + panel_columns - 1) / panel_columns, depth * panel_columns, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t n = 0; n < panel_columns; ++n) {
          const int64_t column = p * panel_columns + n;
          panels[(p * depth + k) * panel_columns + n] = column < columns ? weight[column * depth + k] : Element(0.f);
        }
  });
}

/// Each column's blocks of depth, quantized with a scale of their own.
template <class Element>
void pack_quantized_panels(const cpu::Simd& simd, const Element* weight, int64_t columns, int64_t depth, WeightLayout layout, std::byte* panels) {
  using cpu::panel_columns;
  const int64_t panel_bytes = cpu::quantized_panel_bytes(depth, layout), most = cpu::quantized_depth(layout);
  cpu::parallel_pieces((columns + panel_columns - 1) / panel_columns, depth * panel_columns, [&](int64_t begin, int64_t end) {
    float values[cpu::depth_block];
    int16_t rounded[cpu::depth_block + 1];
    for (int64_t p = begin; p < end; ++p) {
      std::byte* block = panels + p * panel_bytes;
      for (int64_t k = 0; k < depth; k += most) {
        const int64_t count = std::min(most, depth - k);
        auto* integers = reinterpret_cast<int16_t*>(block);
        auto* scales = reinterpret_cast<float*>(block + cpu::quantized_values_bytes(count));
        for (int64_t n = 0; n < panel_columns; ++n) {
          const int64_t column = p * panel_columns + n;
          for (int64_t i = 0; i < count; ++i) values[i] = column < columns ? float(weight[column * depth + k + i]) : 0;
          scales[n] = simd.quantize(values, count, rounded);
          for (int64_t i = 0; i < cpu::rounded_up(count, 2); ++i) integers[(i / 2 * panel_columns + n) * 2 + i % 2] = rounded[i];
        }
        block += cpu::quantized_block_bytes(count);
      }
    }
  });
}

template <class Element>
void pack_tile_panels(const Element* weight, int64_t columns, int64_t depth, bfloat16* panels) {
  using cpu::panel_columns;
  const int64_t whole = cpu::amx_steps(depth) * cpu::amx_depth;
  cpu::parallel_pieces((columns + panel_columns - 1) / panel_columns, depth * panel_columns, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t n = 0; n < panel_columns; ++n) {
        const int64_t column = p * panel_columns + n;
        for (int64_t k = 0; k < whole; ++k)
          panels[p * whole * panel_columns + cpu::amx_right_at(k, n)] =
              bfloat16(column < columns && k < depth ? float(weight[column * depth + k]) : 0.f);
      }
  });
}

}  // namespace

PackedWeights CpuBackend::pack(View weight, Packing as) {
  const int64_t columns = weight.shape[0], depth = weight.size() / columns;
  const cpu::PackedFactors factors(columns, depth, as);
  const auto bytes = size_t(factors.bytes());
  PackedWeights packed{allocate(bytes), as.dtype, columns, depth, bytes, as.layout};
  const auto pack_factor = [&](int64_t index, const auto* elements) {
    using Element = std::remove_cvref_t<decltype(*elements)>;
    auto* const panels = static_cast<std::byte*>(packed.data.get()) + index * factors.bytes_each();
    if (as.layout == WeightLayout::tiles) pack_tile_panels(elements, factors.columns, factors.depth, reinterpret_cast<bfloat16*>(panels));
    else if (as.dtype == DType::int16) pack_quantized_panels(simd_, elements, factors.columns, factors.depth, as.layout, panels);
    else pack_panels(elements, factors.columns, factors.depth, reinterpret_cast<Element*>(panels));
  };
  const auto pack_from = [&](const auto* elements) {
    if (as.layout == WeightLayout::published || as.layout == WeightLayout::tiles) return pack_factor(0, elements);
    for (int64_t i = 0; i < factors.count; ++i)
      if (as.layout == WeightLayout::winograd)
        pack_factor(i, cpu::transformed_kernels(elements, weight.size(), as.channels, int(i / 4), int(i % 4)).data());
      else pack_factor(i, cpu::tap_columns(elements, columns, factors.count, i, as.channels).data());
  };
  if (weight.dtype == DType::float32) pack_from(cpu::floats(weight));
  else pack_from(static_cast<const bfloat16*>(weight.data));
  return packed;
}

void CpuBackend::linear(View x, const PackedWeights& weight, const View* bias, Activation activation, View out, const View* residual,
                        const View* gate) {
  const int64_t rows = x.size() / weight.depth;
  cpu::multiply(simd_, rows, weight, cpu::PackRows{cpu::floats(x), rows, weight.depth}, cpu::floats(out),
                cpu::Epilogue{simd_, cpu::floats_or_null(bias), activation, weight.columns, cpu::floats_or_null(residual), cpu::floats_or_null(gate),
                              gate ? rows / gate->shape[0] : rows});
}

}  // namespace pyracast
