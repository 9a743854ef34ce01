#include "base/error.hpp"
#include "kernels/cpu/matrix_product.hpp"

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

}  // namespace

PackedWeights CpuBackend::pack(View weight) {
  const int64_t columns = weight.shape[0], depth = weight.size() / columns;
  const size_t bytes = size_t(cpu::packed_size(columns, depth)) * size_of(weight.dtype);
  PackedWeights packed{allocate(bytes), weight.dtype, columns, depth, bytes};
  if (weight.dtype == DType::float32)
    pack_panels(cpu::floats(weight), columns, depth, static_cast<float*>(packed.data.get()));
  else
    pack_panels(static_cast<const bfloat16*>(weight.data), columns, depth, static_cast<bfloat16*>(packed.data.get()));
  return packed;
}

void CpuBackend::linear(View x, const PackedWeights& weight, const View* bias, Activation activation, View out) {
  const int64_t rows = x.size() / weight.depth;
  cpu::multiply(simd_, rows, weight, cpu::PackRows{cpu::floats(x), rows, weight.depth}, cpu::floats(out),
                cpu::Epilogue{simd_, bias ? cpu::floats(*bias) : nullptr, activation});
}

}  // namespace pyracast
